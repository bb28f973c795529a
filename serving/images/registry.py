"""Asks a registry which image a tag names at the moment, by the OCI distribution API."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import requests
from dxf import DXF
from dxf.exceptions import DXFError, DXFUnauthorizedError

from serving.images.reference import DOCKER_HUB, ImageReference

DOCKER_HUB_API = "registry-1.docker.io"
"""The host behind docker.io that speaks the API."""

ANSWER_SECONDS = 20.0
"""For each answer. Registries take well below one second; what takes longer is no network."""

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class RegistryError(Exception):
    """The registry did not say what was asked; the message says why and what to do, in one line."""


@dataclass(frozen=True)
class Resolved:
    """What a tag names. platforms: whether that is an index of several, or the image of only one."""

    digest: str
    platforms: bool


def resolve(reference: ImageReference) -> Resolved:
    """The digest of the index behind a tag. Raises RegistryError.

    Asks without credentials: every image of the table is public. The digest is computed here from what came:
    what the registry says in a header is not believed.
    """
    host = DOCKER_HUB_API if reference.registry == DOCKER_HUB else reference.registry
    tag = reference.tag or "latest"
    try:
        response = _manifest(host, reference.repository, tag)
    except DXFUnauthorizedError:
        raise RegistryError(
            f"{host} shows {reference.repository} to nobody without a login, or has no such repository"
        ) from None
    except requests.HTTPError as error:
        raise RegistryError(f"{host} {_refusal(error.response, reference.repository, tag)}") from None
    except requests.exceptions.SSLError:
        raise RegistryError(
            f"{host} has a certificate that is not trusted here: name your proxy's authority in "
            "REQUESTS_CA_BUNDLE"
        ) from None
    except requests.Timeout:
        raise RegistryError(f"{host} did not answer within {ANSWER_SECONDS:g} s") from None
    except requests.ConnectionError:
        raise RegistryError(f"{host} cannot be reached from here") from None
    except (DXFError, requests.RequestException, AttributeError, KeyError, TypeError, ValueError):
        # What the library makes of challenges, tokens and redirects that it cannot read.
        raise RegistryError(f"{host} answers in a way that is not understood: is it a registry?") from None
    return _resolved(host, response)


def _manifest(host: str, repository: str, tag: str) -> requests.Response:
    def log_in(client: DXF, challenge: requests.Response) -> None:
        client.authenticate(response=challenge)

    with DXF(host, repository, auth=log_in, timeout=ANSWER_SECONDS) as client:  # pyright: ignore[reportArgumentType]
        return client.get_manifest_and_response(tag)[1]


def _resolved(host: str, response: requests.Response) -> Resolved:
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in (*INDEXES, *MANIFESTS):
        raise RegistryError(
            f"{host} answered {media_type or 'something'}, which is no image: is it a registry?"
        )
    digest = f"sha256:{hashlib.sha256(response.content).hexdigest()}"
    promised = response.headers.get("Docker-Content-Digest", digest)
    if promised != digest:
        raise RegistryError(f"{host} sent something else than it promised: {digest} for {promised}")
    return Resolved(digest, media_type in INDEXES)


def _refusal(response: requests.Response | None, repository: str, tag: str) -> str:
    """What the registry did, and what may help."""
    # The library gives the answer that it raises for; only its type allows none.
    status = None if response is None else response.status_code
    match status:
        case requests.codes.not_found:
            return f"has no {repository}:{tag}"
        case requests.codes.forbidden:
            return f"refuses to show {repository} from here"
        case requests.codes.too_many_requests:
            after = response.headers.get("Retry-After") if response is not None else None
            when = "later" if after is None else f"in {after} s"
            return f"takes no more requests from this address at the moment: try again {when}"
        case _:
            return f"answered {status} for {repository}:{tag}"

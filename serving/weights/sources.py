"""Where the weights of a model come from, as the stack file writes it. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

HUB = "hub"


class SourceError(ValueError):
    """A text that names no source of weights, or one that is not pinned; the message is one line."""


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub at one commit, 40 hexadecimal digits."""

    repository: str
    revision: str


@dataclass(frozen=True)
class ObjectStore:
    """A folder of a bucket. It is pinned by the checksums in its file SHA256SUMS."""

    scheme: Literal["s3", "gs"]
    bucket: str
    folder: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.folder}"


@dataclass(frozen=True)
class Claim:
    """A folder of a PersistentVolumeClaim that exists already; "" is its root. SHA256SUMS pins it too."""

    name: str
    folder: str

    def __str__(self) -> str:
        return f"pvc://{self.name}/{self.folder}".removesuffix("/")


@dataclass(frozen=True)
class Image:
    """An OCI image whose root holds the files, by digest."""

    reference: str

    def __str__(self) -> str:
        return f"oci://{self.reference}"


Source = Hub | ObjectStore | Claim | Image

PIN_DIGITS = 8


@dataclass(frozen=True)
class Weights:
    """What the replicas of a model load.

    owner: the model's name. A canary's is that of its model, so that the revision which it tries is not
    staged again when it becomes the model's own.
    """

    owner: str
    source: Source

    @property
    def name(self) -> str:
        """`weights-chat-` and the first digits of what pins them."""
        match self.source:
            case Hub():
                pin = self.source.revision
            case ObjectStore() | Claim() | Image():
                pin = hashlib.sha256(str(self.source).encode()).hexdigest()
        return f"weights-{self.owner}-{pin[:PIN_DIGITS]}"


_OBJECT_STORE = re.compile(r"(?P<scheme>s3|gs)://(?P<bucket>[a-z0-9][a-z0-9._-]+)/(?P<folder>.+)")
_CLAIM = re.compile(r"pvc://(?P<name>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)(/(?P<folder>.*))?")
_IMAGE = re.compile(r"oci://(?P<reference>[^@\s]+@sha256:[0-9a-f]{64})")

_FORMS = "hub, s3://bucket/folder, gs://bucket/folder, pvc://claim, pvc://claim/folder or oci://image@sha256:digest"


def parse(weights: str, repository: str, revision: str | None) -> Source:
    """The source that `weights` names for the model `repository` at `revision`, which only the hub needs.

    Raises SourceError.
    """
    if weights == HUB:
        if revision is None:
            raise SourceError(f"weights hub: {repository} needs a revision; a branch may be moved")
        return Hub(repository, revision)
    if found := _OBJECT_STORE.fullmatch(weights):
        scheme: Literal["s3", "gs"] = "s3" if found["scheme"] == "s3" else "gs"
        return ObjectStore(scheme, found["bucket"], _folder(weights, found["folder"]))
    if found := _CLAIM.fullmatch(weights):
        return Claim(found["name"], _folder(weights, found["folder"] or ""))
    if found := _IMAGE.fullmatch(weights):
        return Image(found["reference"])
    raise SourceError(f'weights "{weights}" is no source: {_FORMS}')


def _folder(weights: str, folder: str) -> str:
    parts = folder.strip("/").split("/")
    if ".." in parts or "." in parts or (folder.strip("/") and "" in parts):
        raise SourceError(f'weights "{weights}": a folder is written without "." and ".." and double slashes')
    return folder.strip("/")

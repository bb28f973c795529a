"""Service account tokens for pods, by the API server's TokenRequest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local.fleet.api import Api
from local.fleet.pod_model import Pod, TokenSource
from local.fleet.volumes import Tokens, token_sources

_RENEW_AT = 0.8
"""Share of a token's life after which kubelet asks for the next."""


async def request_tokens(api: Api, pod: Pod) -> tuple[Tokens, float | None]:
    """The tokens that the pod's volumes ask for, and in how many seconds they are to be renewed.

    Raises:
        ApiError: no such service account, for example.
        httpx.HTTPError: the API server cannot be reached.
    """
    found: dict[TokenSource, str] = {}
    lifetimes: list[float] = []
    for source in token_sources(pod):
        metadata = pod.metadata
        account = f"/api/v1/namespaces/{metadata.namespace}/serviceaccounts/{pod.spec.service_account_name}"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata.name, "uid": metadata.uid}
        spec: dict[str, Any] = {"expirationSeconds": source.expiration_seconds, "boundObjectRef": bound}
        if source.audience:
            spec["audiences"] = [source.audience]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await api.post(f"{account}/token", body)
        found[source] = str(answer["status"]["token"])
        expires = datetime.fromisoformat(answer["status"]["expirationTimestamp"])
        lifetimes.append((expires - datetime.now(UTC)).total_seconds())
    return Tokens(found), min(lifetimes) * _RENEW_AT if lifetimes else None

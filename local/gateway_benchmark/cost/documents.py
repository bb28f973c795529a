"""Places in the gateway's static document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def manager(document: Mapping[str, Any]) -> dict[str, Any]:
    """The connection manager of the clients' listener."""
    return listener(document)["filter_chains"][0]["filters"][0]["typed_config"]


def listener(document: Mapping[str, Any]) -> dict[str, Any]:
    """The clients' listener, the only one that is measured."""
    (found,) = document["static_resources"]["listeners"]
    return found


def http_filters(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The filters that clients' requests pass, in their order."""
    return manager(document)["http_filters"]


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document, the outer before the inner."""
    if isinstance(part, dict):
        yield part
        for value in list(part.values()):
            yield from objects(value)
    elif isinstance(part, list):
        for value in part:
            yield from objects(value)

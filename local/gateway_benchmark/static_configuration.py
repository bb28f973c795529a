"""The gateway's configuration in one document: what its files hold, in the places that watch them.

For an Envoy that is started without those files, to be measured or to judge the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from serving.gateway.bootstrap import CLUSTERS_FILE, LISTENERS_FILE, bootstrap
from serving.gateway.documents import Document, to_yaml
from serving.gateway.listeners import ROUTES_FILE


def static_configuration(files: Mapping[str, Document]) -> dict[str, Any]:
    """The bootstrap document with what `files` hold; the listener for clients is its last."""
    document = _plain(bootstrap())
    del document["dynamic_resources"]
    static = document["static_resources"]
    held = {name: _resources(file) for name, file in files.items()}
    (listener,) = held[LISTENERS_FILE]
    (routes,) = held[ROUTES_FILE]
    static["listeners"].append(listener)
    static["clusters"] += held[CLUSTERS_FILE]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = routes
    watched = {
        item["name"]: item["typed_config"]
        for resources in held.values()
        for item in resources
        if "typed_config" in item
    }
    for entry in manager["http_filters"]:
        if entry.pop("config_discovery", None) is not None:
            entry["typed_config"] = watched[entry["name"]]
    return document


def _plain(document: Document) -> dict[str, Any]:
    return yaml.safe_load(to_yaml(document))


def _resources(document: Document) -> list[dict[str, Any]]:
    resources = _plain(document)["resources"]
    return [{key: value for key, value in item.items() if key != "@type"} for item in resources]

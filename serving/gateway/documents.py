"""Envoy's configuration as plain data, and how it becomes the text of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

Document = Mapping[str, object]

CONFIG_FOLDER = "/etc/envoy/config"
BOOTSTRAP_FOLDER = "/etc/envoy/bootstrap"


def typed(message: str, **fields: object) -> Document:
    """A message with its type, as Envoy's extension points want it. `message` is without `envoy.`."""
    return {"@type": f"type.googleapis.com/envoy.{message}", **fields}


def discovery(*resources: Document) -> Document:
    """What a file for one of Envoy's discovery services contains."""
    return {"resources": list(resources)}


def watched_file(name: str) -> Document:
    """A discovery source: a file that Envoy reads again when its folder is swapped, as a kubelet does."""
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": f"{CONFIG_FOLDER}/{name}",
            "watched_directory": {"path": CONFIG_FOLDER},
        },
    }


def socket_address(address: str, port: int) -> Document:
    """An address to listen on or to dial."""
    return {"socket_address": {"address": address, "port_value": port}}


def to_yaml(document: Document) -> str:
    """The document as YAML, always the same for the same document."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


class _Dumper(yaml.CSafeDumper):
    """Writes a value used twice twice: anchors save a line and cost the reader a search.

    libyaml's emitter, which PyYAML's wheels contain: a sixth of the time of the one in Python. It folds long
    texts at other places; what they say is the same.
    """

    def ignore_aliases(self, data: object) -> bool:
        return True


# Booleans of YAML 1.1, and to Envoy's parser (yaml-cpp); PyYAML reads and writes them as text. In quotes they
# are text to both: a team may be called `y`.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))

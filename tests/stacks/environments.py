"""Stack files for tests: the local one as plain values, to be changed one value at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.local import KUBECONFIG_EXTENSION
from stacks.config import Stack
from stacks.load import PROJECT, STACKS, parse
from tests.stacks.signing import write_keys

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {
            "name": "test",
            "cluster": {
                "server": "https://127.0.0.1:6443",
                "extensions": [
                    {
                        "name": KUBECONFIG_EXTENSION,
                        "extension": {
                            "prometheus": "http://prometheus.example:9090",
                            "hub": "http://hub.example",
                        },
                    }
                ],
            },
        }
    ],
}
"""What the program reads of the file that `make up` writes."""


def local_values() -> dict[str, Any]:
    """The sections of stacks/Pulumi.local.yaml, without the project's prefix."""
    return copy.deepcopy(_local_values())


@cache
def _local_values() -> dict[str, Any]:
    document = yaml.safe_load((STACKS / "Pulumi.local.yaml").read_text(encoding="utf-8"))
    prefix = f"{PROJECT}:"
    return {
        key.removeprefix(prefix): value for key, value in document["config"].items() if key.startswith(prefix)
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """The local environment with the value at `path` replaced, such as `models.0.replicas.min`."""
    values = local_values()
    target, last = _place(values, path)
    target[last] = value
    return values


def merged(values: dict[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """A copy of `values` with the value at each path replaced; None removes it."""
    copied = copy.deepcopy(values)
    for path, value in changes.items():
        target, last = _place(copied, path)
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
    return copied


def _place(values: dict[str, Any], path: str) -> tuple[Any, str | int]:
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    target: Any = values
    for step in way:
        target = target[step]
    return target, last


def stack_on(kubeconfig: Path, values: dict[str, Any] | None = None) -> Stack:
    """An environment whose kubeconfig and keys exist, as the program demands; the keys lie beside it."""
    values = local_values() if values is None else values
    kubeconfig.write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    jwks = write_keys(kubeconfig.parent / "keys")
    return parse(with_files(values, kubeconfig, jwks), origin="test")


def with_files(values: dict[str, Any], kubeconfig: Path, jwks: Path) -> dict[str, Any]:
    """The environment with this cluster, and the keys of this JWKS."""
    gateway = values["gateway"]
    return {
        **values,
        "cluster": {**values["cluster"], "kubeconfig": str(kubeconfig)},
        "gateway": {**gateway, "tokens": {**gateway["tokens"], "public_keys": str(jwks)}},
    }


AWS_CLUSTER = {
    "provider": "aws",
    "name": "test",
    "region": "us-east-1",
    "version": "1.36",
    "zones": 3,
    "nat_gateways": "per_zone",
    "api_allowed_cidrs": ["203.0.113.0/24"],
    "system_nodes": {"machine_type": "m7i.xlarge", "count": 2},
}


def aws_values() -> dict[str, Any]:
    """The local environment's pools and models on a cluster on AWS."""
    return {**local_values(), "cluster": copy.deepcopy(AWS_CLUSTER)}

"""KWOK Stage documents: how KWOK plays nodes, and the pods that the fleet leaves to it.

A kwokctl configuration that holds any Stage replaces all of KWOK's defaults, so the node stages are among
them. Every pod stage carries a condition that leaves pods with a known image to the fleet: without it KWOK
would report such a pod Ready before its process has started, and would delete it before its process has
drained.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from local.fleet.images import DEFAULT_REGISTRIES, FLEET_REPOSITORIES

_DATA = Path(__file__).with_name("stages.yaml")


class _Requirement(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)


class _Stage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    resource: Literal["Node", "Pod"]
    when: list[_Requirement]
    delay: dict[str, int] | None = None
    status: str | None = None
    delete: bool = False


def fleet_pattern() -> str:
    """A regular expression (Go and Python syntax) that matches exactly the images of `FLEET_REPOSITORIES`."""
    registries = "|".join(re.escape(prefix) for prefix in DEFAULT_REGISTRIES)
    repositories = "|".join(re.escape(name) for name in sorted(FLEET_REPOSITORIES))
    return rf"^(?:{registries})?(?:{repositories})(?::[^/@]+)?(?:@.+)?$"


def _not_the_fleets() -> _Requirement:
    key = f".spec.containers[].image | test({json.dumps(fleet_pattern())})"
    return _Requirement(key=key, operator="NotIn", values=["true"])


def _document(stage: _Stage) -> dict[str, Any]:
    requirements = [*stage.when, *([_not_the_fleets()] if stage.resource == "Pod" else [])]
    following: dict[str, Any] = {"delete": True} if stage.delete else {"statusTemplate": stage.status}
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": stage.resource},
        "selector": {"matchExpressions": [item.model_dump(exclude_defaults=True) for item in requirements]},
        "next": following,
    }
    if stage.delay is not None:
        spec["delay"] = stage.delay
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": stage.name},
        "spec": spec,
    }


def stages() -> list[dict[str, Any]]:
    """All Stage documents that KWOK v0.8.0 needs beside the fleet, ready for a `kwokctl --config` file."""
    return [_document(_Stage.model_validate(item)) for item in yaml.safe_load(_DATA.read_text())]

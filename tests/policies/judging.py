"""Puts resources before a rule as the SDK does: behind proxies, numbers as floats."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, deserialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from policies import secret_marks
from policies.objects import STACK_TYPE
from policies.rule import Rule

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "local"

UNKNOWN = UNKNOWN_STRING_VALUE
"""What stands in a preview for a value that only the update will know."""

OPTIONS = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
)

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """What a rule said. unjudged: its note on values that it could not know, or None."""

    violations: list[str]
    unjudged: str | None


@cache
def _golden(name: str) -> Manifest:
    return yaml.safe_load((GOLDEN / f"{name}.yaml").read_text(encoding="utf-8"))


def golden(name: str) -> Manifest:
    """A manifest that the local environment registers, such as `deployment-chat`."""
    return copy.deepcopy(_golden(name))


def secret(value: object) -> Manifest:
    """The value as the engine sends it if the program marked it as secret."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def changed(manifest: Manifest, path: str, value: object) -> Manifest:
    """The manifest with the value at `path` replaced or added, such as `spec.template.spec.hostPID`."""
    result = copy.deepcopy(manifest)
    target, last = _at(result, path)
    target[last] = value
    return result


def without(manifest: Manifest, path: str) -> Manifest:
    """The manifest without the property at `path`."""
    result = copy.deepcopy(manifest)
    target, last = _at(result, path)
    del target[last]
    return result


def _at(manifest: Any, path: str) -> tuple[Any, Any]:
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        manifest = manifest[step] if isinstance(step, int) else manifest.setdefault(step, {})
    return manifest, last


def with_argument(deployment: Manifest, flag: str, value: str) -> Manifest:
    """The Deployment with another value of one argument of its engine."""
    result = copy.deepcopy(deployment)
    arguments = result["spec"]["template"]["spec"]["containers"][0]["args"]
    if flag in arguments:
        arguments[arguments.index(flag) + 1] = value
    else:
        arguments += [flag, value]
    return result


def without_argument(deployment: Manifest, flag: str) -> Manifest:
    """The Deployment without one argument of its engine and its value."""
    result = copy.deepcopy(deployment)
    arguments = result["spec"]["template"]["spec"]["containers"][0]["args"]
    index = arguments.index(flag)
    del arguments[index : index + 2]
    return result


def registered(manifest: Manifest) -> PolicyResource:
    """The manifest as a registered resource."""
    struct = Struct()
    struct.update(manifest)
    metadata = manifest.get("metadata")
    name = str(metadata.get("name", "unnamed")) if isinstance(metadata, dict) else "unnamed"
    kind = manifest["kind"]
    resource_type = kind if kind == STACK_TYPE else f"kubernetes:{manifest['apiVersion']}:{kind}"
    urn = f"urn:pulumi:test::test::{resource_type}::{name}"
    secret_marks.remember(urn, manifest)
    return PolicyResource(
        resource_type=resource_type,
        props=unknown_checking_proxy(deserialize_properties(MessageToDict(struct))),
        urn=urn,
        name=name,
        opts=OPTIONS,
        provider=None,
        parent=None,
        dependencies=[],
        property_dependencies={},
    )


def judge(rule: Rule, *manifests: Manifest, config: Mapping[str, Any] | None = None) -> Judged:
    """What `rule` says about these resources."""
    policy = rule.policy()
    violations: list[str] = []

    def report(message: str, urn: str | None = None) -> None:
        violations.append(message)

    notes: list[str] = []
    resources = [registered(manifest) for manifest in manifests]
    if isinstance(policy, StackValidationPolicy):
        runs = [partial(policy.validate, StackValidationArgs(resources, config), report)]
    else:
        assert isinstance(policy, ResourceValidationPolicy)
        runs = [
            partial(
                policy.validate,
                ResourceValidationArgs(
                    one.resource_type, one.props, one.urn, one.name, OPTIONS, None, config
                ),
                report,
            )
            for one in resources
        ]
    for run in runs:
        try:
            run()
        except UnknownValueError as error:
            notes.append(error.message)
    return Judged(violations, "; ".join(notes) or None)

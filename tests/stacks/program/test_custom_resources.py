"""What the owners of custom resources write back is what was rendered, so that a refresh finds no change.

An operator that updates a whole object writes what its Go type holds. A field that is marked `omitempty` and
not a pointer is then gone if it holds false, 0, an empty text or an empty list. KEDA 2.21.0 does so with each
new ScaledObject (it adds its finalizer); the others patch today, and need not tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks import program
from tests.recording import Recording, record
from tests.stacks.environments import local_values, stack_on
from tests.stacks.program.renderings import everything, warm_values

POINTERS = {
    # apis/keda/v1alpha1/scaledobject_types.go of KEDA 2.21.0.
    "ScaledObject": {"minReplicaCount", "cooldownPeriod", "initialCooldownPeriod", "failureThreshold"}
    # autoscaling/v2/types.go of k8s.io/api 0.36.2.
    | {"stabilizationWindowSeconds", "tolerance"},
    # pkg/apis/autoscaling/v1beta1/capacitybuffer.go of Karpenter 1.15.0.
    "CapacityBuffer": {"replicas"},
}
"""Fields that keep a zero: pointers in their owner's Go type, or without omitempty."""


def sleeping_values() -> dict[str, Any]:
    values = local_values()
    values["models"][0].update(
        replicas={"min": 0, "max": 5}, sleep_after_seconds=10, scale_down_stabilization_seconds=0
    )
    values["cluster"]["node_startup_seconds"] = 0
    return values


def without_warm_nodes() -> dict[str, Any]:
    values = warm_values()
    for pool in values["node_pools"]:
        pool["warm_nodes"] = 0
    return values


def is_custom(api_version: str) -> bool:
    """Whether a kind is none of Kubernetes' own, whose groups are apps, batch, policy and X.k8s.io."""
    group = api_version.partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def dropped(kind: str, value: object, path: str) -> Iterator[str]:
    """Where the value holds what its owner would leave out."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if inner in (0, "0") and key in POINTERS.get(kind, ()):
                continue
            yield from dropped(kind, inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from dropped(kind, inner, f"{path}[{index}]")
    elif not value:
        yield f"{kind} {path}: {value!r}"


@pytest.mark.parametrize("values", [local_values, warm_values, sleeping_values, without_warm_nodes])
def test_no_custom_resource_holds_what_its_owner_would_drop(tmp_path: Path, values: Any):
    stack = stack_on(tmp_path / "kubeconfig", values())
    check(record(lambda: program.export(program.build(stack))), {"KWOKNodeClass"})


def test_nor_does_one_of_a_stack_with_everything_in_it(tmp_path: Path):
    check(everything(tmp_path), {"CapacityBuffer"})


def check(recording: Recording, kinds: set[str]) -> None:
    customs = [resource.inputs for resource in recording if is_custom(resource.inputs.get("apiVersion", ""))]
    expected = {"ScaledObject", "NodePool", "PodMonitor", "PrometheusRule", *kinds}
    assert expected <= {custom["kind"] for custom in customs}
    found = [
        line
        for custom in customs
        for part in ("spec", "metadata")
        for line in dropped(custom["kind"], custom[part], part)
    ]
    assert found == []


@pytest.mark.parametrize("empty", [False, "", [], {}, 0, None])
def test_whatever_is_empty_is_found(empty: object):
    assert list(dropped("ScaledObject", {"triggers": [{"a": empty}], "minReplicaCount": 0}, "spec")) == [
        f"ScaledObject spec.triggers[0].a: {empty!r}"
    ]

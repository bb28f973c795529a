"""What the plan prints is what the program registers, for every stack file of the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from sizing.hardware.machines import machine
from stacks import program
from stacks.config import Stack
from stacks.load import STACKS, from_file
from stacks.plan import make_plan
from stacks.plan.text import outline, remarks
from stacks.signing_keys import FOLDER_VARIABLE
from tests.recording import Recording, record, stack_outputs
from tests.stacks.program.renderings import EVERYTHING, everything_stack, full_cluster
from tests.stacks.signing import write_keys

SHIPPED = sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml"))


@pytest.fixture(params=[*SHIPPED, EVERYTHING.stem])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    if request.param == EVERYTHING.stem:
        return everything_stack(tmp_path)
    found = from_file(request.param)
    tokens = found.gateway.tokens.model_copy(update={"public_keys": write_keys(tmp_path / "keys")})
    gateway = found.gateway.model_copy(update={"tokens": tokens})
    return found.model_copy(update={"gateway": gateway})


def registered(stack: Stack, folder: Path) -> Recording:
    """The stack on a cluster of tests: what runs inside does not depend on the provider."""
    with patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "keys")}):
        return record(lambda: program.export(program.build_on(full_cluster, stack)))


def flag(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def engine(recording: Recording, name: str) -> dict[str, Any]:
    return recording.one("Deployment", name).inputs["spec"]["template"]["spec"]["containers"][0]


def node_pools(recording: Recording, name: str) -> list[dict[str, Any]]:
    """Specs of Karpenter's NodePools for this pool, the preferred one first."""
    specs = [
        resource.inputs["spec"]
        for resource in recording.resources
        if resource.inputs.get("kind") == "NodePool"
        and resource.inputs["spec"]["template"]["metadata"]["labels"]["llm-platform/node-pool"] == name
    ]
    return sorted(specs, key=lambda spec: spec.get("weight", 0), reverse=True)


def requirement(spec: dict[str, Any], key: str) -> list[str]:
    return next(found["values"] for found in spec["template"]["spec"]["requirements"] if found["key"] == key)


def test_what_is_printed_of_models_is_registered(stack: Stack, tmp_path: Path):
    recording = registered(stack, tmp_path)
    plan = make_plan(stack)
    exported = json.loads(json.dumps(plan.exported()))
    shown = stack_outputs(recording)["plan"]["models"]
    deployments = [
        resource.inputs["metadata"]["name"]
        for resource in recording.resources
        if resource.inputs.get("kind") == "ScaledObject"
    ]
    assert sorted(model["name"] for model in exported["models"]) == sorted(deployments)
    for model in exported["models"]:
        name = model["name"]
        container = engine(recording, name)
        arguments = [*container.get("command", ()), *container["args"]]
        gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
        at_once = int(flag(arguments, "--max-num-seqs"))
        scaled = recording.one("ScaledObject", name).inputs["spec"]
        section = next(one for one in stack.models if name in (one.name, f"{one.name}-canary"))
        assert model["tensor_parallel"] == gpus
        assert model["max_num_seqs"] == at_once
        assert model["replicas_max"] == scaled["maxReplicaCount"]
        # Hot spares are asked for by the rules, above the minimum of the autoscaler.
        assert model["replicas_min"] == max(
            scaled["minReplicaCount"], section.warm_replicas if name == section.name else 0
        )
        selector = recording.one("Deployment", name).inputs["spec"]["template"]["spec"]["nodeSelector"]
        assert model["node_pool"] == selector["llm-platform/node-pool"]
        counts = (model["replicas_min"], model["replicas_expected"], scaled["maxReplicaCount"])
        replicas = f"{' / '.join(map(str, counts))} replicas"
        assert shown[name].startswith(f"{replicas} of {gpus} x {model['accelerator']}, ")
        assert f"; context {flag(arguments, '--max-model-len')}, " in shown[name]
        assert shown[name].endswith(f", {at_once} at once")


def test_what_is_printed_of_machines_is_registered(stack: Stack, tmp_path: Path):
    recording = registered(stack, tmp_path)
    plan = make_plan(stack)
    printed = "\n".join(remarks(plan))
    shown = stack_outputs(recording)["plan"]["node_pools"]
    for pool in json.loads(json.dumps(plan.exported()))["node_pools"]:
        bought = node_pools(recording, pool["name"])
        assert bought
        for spec in bought:
            assert pool["machine"] in requirement(spec, "node.kubernetes.io/instance-type")
            labels = spec["template"]["metadata"]["labels"]
            assert labels["llm-platform/accelerator"] == machine(pool["machine"]).accelerator
        shares = [spec["limits"]["nodes"] for spec in bought]
        kinds = [" or ".join(requirement(spec, "karpenter.sh/capacity-type")) for spec in bought]
        # JSON has no order; the outline and the remarks name the preferred type first.
        assert pool["max_nodes_by_capacity"] == dict(zip(kinds, shares, strict=True))
        listed = ", then ".join(f"{nodes} {kind}" for kind, nodes in zip(kinds, shares, strict=True))
        assert f" x {pool['machine']} (at most {listed}); " in shown[pool["name"]]
        assert (
            len(shares) == 1 or f"{pool['name']}: max_nodes {sum(shares)} is shared out: {listed}" in printed
        )
        assert pool["machines"]["maximum"] <= sum(shares)
        assert pool["gpus_per_machine"] == machine(pool["machine"]).accelerator_count


def test_the_plan_and_the_program_compute_the_same(stack: Stack, tmp_path: Path):
    assert stack_outputs(registered(stack, tmp_path))["plan"] == outline(make_plan(stack))

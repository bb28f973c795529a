"""Each field acts on the clusters of each provider, is refused there, or is declared to have no effect.

A field acts if another value of it changes the plan, what is said of the plan, or what is registered. The
sections that differ between providers are changed on each of them, all others on everything.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from stacks.config import NoEffectYet, Section
from stacks.load import parse
from stacks.problems import StackError
from tests.stacks.environments import AWS_CLUSTER, merged
from tests.stacks.program.bases import Base, bases, declared, fields, others, planned, write_other_files
from tests.stacks.program.test_renderings import owner, section_classes

PROVIDERS = ("existing", "local", "aws", "gcp")
PER_PROVIDER = ("cluster", "node_pools")
"""Sections whose fields are changed on each provider."""

Key = tuple[str, str, str]
"""Provider, section and field."""

REFUSED: set[Key] = {
    # No disk is attached to nodes of a local cluster.
    ("local", "NodePool", "disk_gib"),
    # Karpenter starts machines for pods only.
    ("existing", "NodePool", "min_nodes"),
    ("local", "NodePool", "min_nodes"),
    ("aws", "NodePool", "min_nodes"),
}
"""Of which every other value is refused at its own path: it can never act on that provider."""


@dataclass(frozen=True)
class Proof:
    """A change that acts, for a field that does not act by itself in the stacks as they are.

    change: by path, of several fields that must agree, or of one in the stack that `given` makes.
    FOLDER stands for the folder with other files. says: of which the change is refused, for a field that
    decides what is allowed and nothing else.
    """

    change: dict[str, object]
    given: dict[str, object] = field(default_factory=dict)
    says: str | None = None


ORDER = r"is not possible: only Karpenter buys in this order"
SPOT = {f"models.{index}.slo.availability": 0.98 for index in (0, 3, 4)}
L40S = {"node_pools.0.accelerator": "nvidia-l40s", "node_pools.0.machine_types": ["g6e.2xlarge"]}
EXISTING = {
    "provider": "existing",
    "name": "test",
    "kubeconfig": "k",
    "context": "c",
    "node_autoscaler": "karpenter",
}


def pool_renamed(*models: int) -> Proof:
    return Proof({"node_pools.0.name": "other", **{f"models.{index}.node_pool": "other" for index in models}})


PROOFS: dict[Key, Proof] = {
    # What names something else follows it.
    ("existing", "NodePool", "name"): pool_renamed(0, 3, 4),
    ("local", "NodePool", "name"): pool_renamed(0),
    ("aws", "NodePool", "name"): pool_renamed(0),
    ("gcp", "NodePool", "name"): pool_renamed(0),
    ("existing", "Model", "node_pool"): Proof({"models.3.node_pool": "rtx-pro-6000"}),
    ("existing", "Model", "fallback"): Proof({"models.1.name": "large", "models.0.fallback": "large"}),
    ("existing", "Model", "model"): Proof(
        {"models.3.model": "Qwen/Qwen3-Reranker-0.6B", "models.3.task": "rerank"}
    ),
    ("existing", "Model", "task"): Proof(
        {"models.4.model": "Qwen/Qwen3-Embedding-0.6B", "models.4.task": "embed"}
    ),
    ("existing", "PriceOverride", "machine_type"): Proof({"price_overrides.0.machine_type": "g6.2xlarge"}),
    ("existing", "Tokens", "public_keys"): Proof({"gateway.tokens.public_keys": "FOLDER/other.jwks.json"}),
    ("local", "LocalCluster", "kubeconfig"): Proof({"cluster.kubeconfig": "FOLDER/other-kubeconfig"}),
    # Machines carry the accelerator of their pool.
    ("existing", "NodePool", "accelerator"): Proof(L40S),
    ("local", "NodePool", "accelerator"): Proof(L40S),
    ("aws", "NodePool", "accelerator"): Proof(L40S),
    ("gcp", "NodePool", "accelerator"): Proof(
        {"node_pools.1.accelerator": "nvidia-h100-80gb", "node_pools.1.machine_types": ["a3-highgpu-8g"]}
    ),
    ("gcp", "GcpCluster", "region"): Proof({"cluster.region": "europe-west4"}),
    # Each provider has keys of its own.
    ("existing", "ExistingCluster", "provider"): Proof({"cluster": AWS_CLUSTER}),
    ("local", "LocalCluster", "provider"): Proof({"cluster": AWS_CLUSTER}),
    ("aws", "AwsCluster", "provider"): Proof({"cluster": EXISTING}),
    ("gcp", "GcpCluster", "provider"): Proof(
        {"cluster": {**EXISTING, "node_autoscaler": "cluster-autoscaler"}}
    ),
    # There is one engine.
    ("existing", "Model", "engine"): Proof({"models.0.engine": "other"}, says=r"models\[0\].engine: "),
    # A reasoning parser that is the one of the model's row, and a switch that needs one.
    ("existing", "Reasoning", "parser"): Proof(
        {"models.0.reasoning.parser": "none"}, given={"models.0.reasoning": {"parser": "qwen3"}}
    ),
    # Unquantized, the model does not fit an L4.
    ("existing", "Model", "quantization"): Proof(
        {"models.0.quantization": None},
        given={"models.0.node_pool": "rtx-pro-6000", "node_pools.1.max_nodes": 20},
    ),
    # A cluster that is not bought has no price for a disk; a machine that brings none is refused without.
    ("existing", "NodePool", "disk_gib"): Proof(
        {"node_pools.0.disk_gib": None},
        given={"node_pools.0.machine_types": ["g2-standard-8"], "node_pools.0.disk_gib": 100},
        says=r"node_pools\[0\].disk_gib: required for g2-standard-8",
    ),
    # A little more or less load takes as many replicas.
    ("existing", "ExpectedLoad", "requests_per_second"): Proof(
        {"models.0.expected_load.requests_per_second": 0.5}
    ),
    # A price as spot counts in pools that buy spot first.
    ("existing", "PriceOverride", "spot_usd_per_hour"): Proof(
        {"price_overrides.0.spot_usd_per_hour": 2}, given={"node_pools.1.capacity": ["spot", "on-demand"]}
    ),
    # An old HPA ignores one replica more among many.
    ("existing", "ExistingCluster", "version"): Proof(
        {"cluster.version": "1.34"}, given={"models.0.replicas.max": 11, "node_pools.0.max_nodes": 20}
    ),
    # What they allow.
    ("existing", "ServiceLevel", "availability"): Proof(
        {"models.0.slo.availability": 0.999},
        given={"node_pools.0.capacity": ["spot"], **SPOT},
        says=r"node_pools\[0\].capacity: only spot is not enough for chat",
    ),
    ("existing", "ExistingCluster", "node_autoscaler"): Proof(
        {"cluster.node_autoscaler": "cluster-autoscaler"}, says=ORDER
    ),
    ("aws", "AwsCluster", "region"): Proof({"cluster.region": "eu-west-1"}, says=r"is not sold in eu-west-1"),
    ("aws", "AwsCluster", "node_autoscaler"): Proof(
        {"cluster.node_autoscaler": "cluster-autoscaler"}, says=ORDER
    ),
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    return bases(tmp_path_factory.mktemp("stacks"))


def walked(provider: str, base: Base) -> Iterator[tuple[Section, str, tuple[str | int, ...]]]:
    for section, name, way in fields(parse(base.values, "test")):
        if provider == "existing" or way[0] in PER_PROVIDER:
            yield section, name, way


def key_of(provider: str, section: Section, name: str) -> Key:
    return provider, owner(type(section), name), name


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_field_acts_or_is_declared(provider: str, stacks: dict[str, Base]):
    base = stacks[provider]
    seen: set[Key] = set()
    acting: set[Key] = set()
    refused: set[Key] = set()
    for section, name, way in walked(provider, base):
        key = key_of(provider, section, name)
        if declared(section, name):
            continue
        seen.add(key)
        if key in acting or key in PROOFS:
            continue
        outcomes = set(outcome_of_changes(base, section, name, way))
        if "acts" in outcomes:
            acting.add(key)
        elif outcomes == {"refused"}:
            refused.add(key)
    proven = {key for key in PROOFS if key[0] == provider}
    assert refused - acting == {key for key in REFUSED if key[0] == provider}
    assert seen - acting - refused == proven


def outcome_of_changes(base: Base, section: Section, name: str, way: tuple[str | int, ...]) -> Iterator[str]:
    """`acts`, and no more is tried; `refused` at the field's own path, `other` at another one, or `same`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)[1:]
    for value in others(section, name):
        changed = merged(base.values, {".".join(map(str, way)): value})
        if changed == base.values or value == getattr(section, name):
            continue
        try:
            if base.acts(changed):
                yield "acts"
                return
            yield "same"
        except StackError as error:
            yield "refused" if {problem.path for problem in error.problems} == {path} else "other"


@pytest.mark.parametrize(("key", "proof"), PROOFS.items(), ids=[".".join(key) for key in PROOFS])
def test_a_field_that_acts_together_with_others(key: Key, proof: Proof, stacks: dict[str, Base]):
    base = stacks[key[0]]
    write_other_files(base.folder)
    given = Base(merged(base.values, proof.given), base.folder, base.register)
    change = {
        path: value.replace("FOLDER", str(base.folder)) if isinstance(value, str) else value
        for path, value in proof.change.items()
    }
    assert key[2] in {path.rpartition(".")[2] for path in change} | {"provider"}
    parse(given.values, "test")
    changed = merged(given.values, change)
    if proof.says is None:
        assert given.acts(changed)
    else:
        with pytest.raises(StackError, match=proof.says):
            parse(changed, "test")


def marked() -> set[tuple[str, str]]:
    """Every field with a mark."""
    return {
        (owner(section, name), name)
        for section in section_classes()
        if section.__module__.startswith("stacks.config")
        for name, information in section.model_fields.items()
        if isinstance(information.json_schema_extra, NoEffectYet)
    }


def test_declared_fields_change_nothing_and_start_no_new_check(stacks: dict[str, Base]):
    changed_fields: set[tuple[str, str]] = set()
    for provider, base in stacks.items():
        all_changed, before = base.values, planned(base.values)
        for section, name, way in fields(parse(base.values, "test")):
            # A section that is not in the file has no field to change.
            if not declared(section, name) or not section.model_fields_set:
                continue
            path = ".".join(map(str, way))
            for changed in valid(base.values, path, section, name):
                assert planned(changed) == before, path
                all_changed = next(valid(all_changed, path, section, name))
                changed_fields.add(key_of(provider, section, name)[1:])
                break
        assert all_changed != base.values
        assert base.registered(all_changed) == base.registered(base.values)
    assert changed_fields == marked()


def valid(values: dict[str, Any], path: str, section: Section, name: str) -> Iterator[dict[str, Any]]:
    """The stacks with another value of this field that are not refused."""
    for value in others(section, name):
        changed = merged(values, {path: value})
        try:
            parse(changed, "test")
        except StackError:
            continue
        if changed != values:
            yield changed

"""Whole environments as the program registers them: what golden files, dumps and other tests look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi_kubernetes as k8s
import yaml

from infra.cluster import Cluster, Entrance
from infra.karpenter import KarpenterNodePool, KarpenterNodePoolArgs, NodeClass
from stacks import program
from stacks.config import Stack
from stacks.load import STACKS, parse
from stacks.signing_keys import FOLDER_VARIABLE
from tests.recording import Recording, record
from tests.serving.contracts import cluster_contract
from tests.stacks.environments import local_values, stack_on, with_files
from tests.stacks.signing import write_keys

EVERYTHING = STACKS.parent / "tests" / "stacks" / "everything.yaml"


def local(folder: Path) -> Recording:
    """The local environment. `folder`: for its kubeconfig and keys, as in all of these."""
    return _on_local(folder, local_values())


def warm_nodes(folder: Path) -> Recording:
    """The local environment with a warm node in each pool."""
    return _on_local(folder, warm_values())


def warm_values() -> dict[str, Any]:
    """The local environment with a warm node in each pool, kept by one mechanism here and the other there."""
    values = local_values()
    mechanisms = ("placeholder_pods", "capacity_buffer")
    for pool, mechanism in zip(values["node_pools"], mechanisms, strict=True):
        pool.update(warm_nodes=1, warm_capacity=mechanism)
    return values


def everything(folder: Path) -> Recording:
    """everything.yaml on a cluster whose gateway ends TLS, and whose buckets are read by a cloud identity."""
    stack = everything_stack(folder)
    with patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "keys")}):
        return record(lambda: program.export(program.build_on(full_cluster, stack)))


def everything_stack(folder: Path) -> Stack:
    values = yaml.safe_load(EVERYTHING.read_text(encoding="utf-8"))
    return parse(with_files(values, folder / "kubeconfig", write_keys(folder / "keys")), EVERYTHING.name)


def full_cluster() -> Cluster:
    """A cluster in whose description nothing is left out. To be called within a program."""
    described = cluster_contract()
    provider = k8s.Provider("everything-kubernetes", kubeconfig="{}", cluster_identifier="everything")
    node_class = NodeClass("karpenter.k8s.aws", "EC2NodeClass", "gpu")
    return replace(
        described,
        provider=provider,
        make_pool=lambda pool: (
            KarpenterNodePool(pool.name, KarpenterNodePoolArgs(provider, pool, node_class)),
        ),
        entrance=Entrance(
            "LoadBalancer",
            annotations={"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"},
            hostname="llm.example.com",
            tls="gateway",
        ),
        weights_storage=replace(
            described.weights_storage,
            service_account_annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/w"},
        ),
    )


RENDERINGS: Mapping[str, Callable[[Path], Recording]] = {
    "local": local,
    "warm-nodes": warm_nodes,
    "everything": everything,
}


def _on_local(folder: Path, values: dict[str, Any]) -> Recording:
    stack = stack_on(folder / "kubeconfig", values)
    return record(lambda: program.export(program.build(stack)))

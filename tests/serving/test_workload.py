from __future__ import annotations

from typing import Any

import pytest

from infra.karpenter import NodeClass, node_pools
from infra.scheduling import NodePool
from serving.engines.vllm import VLLM, startup_seconds
from serving.replica import Replica
from serving.workload import ModelServerArgs, deployment_spec
from tests.serving.contracts import cluster_contract, large_replica, node_pool, small_replica


def spec(
    replica: Replica | None = None,
    pool: NodePool | None = None,
    surge: int = 1,
) -> Any:
    return deployment_spec(
        ModelServerArgs(
            cluster=cluster_contract(),
            node_pool=node_pool() if pool is None else pool,
            replica=small_replica() if replica is None else replica,
            surge=surge,
        )
    )


def test_the_number_of_replicas_is_never_stated_because_the_autoscaler_owns_it():
    assert spec().replicas is None


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1)])
def test_an_update_needs_a_spare_machine_or_takes_one_replica_away(surge: int, unavailable: int):
    rollout = spec(surge=surge).strategy.rolling_update
    assert (rollout.max_surge, rollout.max_unavailable) == (surge, unavailable)


def test_pods_fit_the_nodes_that_the_pool_brings():
    pool = node_pool("g7e.12xlarge", "g7e.24xlarge")
    (node_pool_spec,) = node_pools(pool, NodeClass("group", "Kind", "name")).values()
    template: Any = node_pool_spec["template"]
    labels, taints = template["metadata"]["labels"], template["spec"]["taints"]
    pod = spec(large_replica(), pool).template.spec
    assert pod.node_selector.items() <= labels.items()
    assert [(taint["key"], taint["value"], taint["effect"]) for taint in taints] == [
        (toleration.key, toleration.value, toleration.effect) for toleration in pod.tolerations
    ]


def test_a_rollout_waits_for_a_machine_and_a_cold_start():
    replica = large_replica()
    assert spec(replica).progress_deadline_seconds > startup_seconds(replica) + 300


def test_the_selector_holds_only_what_never_changes_and_finds_the_pods():
    found = spec()
    assert found.selector.match_labels == {"app.kubernetes.io/name": "chat"}
    assert found.selector.match_labels.items() <= found.template.metadata.labels.items()


def test_the_pod_has_time_to_leave():
    replica = small_replica(drain_seconds=300)
    assert spec(replica).template.spec.termination_grace_period_seconds == VLLM.grace_seconds(replica)


def test_service_variables_stay_out():
    # Kubernetes would set VLLM_PORT for a Service called vllm, and vLLM would take it for its own setting.
    assert spec().template.spec.enable_service_links is False

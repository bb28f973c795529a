"""The rules ask for nothing that no part exposes: the emulator has the names of a real vLLM."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from dashboards.recording_rules import engine_series, recording_rules
from local.engine.metrics import EngineMetrics
from serving.engines import ENGINES, engine_of
from serving.gateway.arrivals import ARRIVALS_METRIC
from tests.dashboards.scaled_models import scaled_model
from tests.dashboards.test_recording_rules import names
from tests.local.engine.conftest import quick_engine

KUBERNETES = {"kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready", "kube_node_labels"}
"""Of kube-state-metrics 2.20; the cluster's own is asked in tests/local/on_cluster."""


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """Every name that the emulator exposes, which is compared with a real vLLM's elsewhere."""
    registry = CollectorRegistry()
    EngineMetrics(registry, *quick_engine())
    return {sample.name for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize("minimum", [0, 1])
def test_every_series_is_exposed_by_somebody_or_recorded_before(exposed: set[str], minimum: int):
    known = exposed | KUBERNETES | {"up", ARRIVALS_METRIC}
    for rule in recording_rules(scaled_model(minimum=minimum), 15):
        assert names(rule.expression) <= known, rule.record
        known.add(rule.record)


def test_every_engine_declares_everything(exposed: set[str]):
    for engine in ENGINES:
        for selector in engine_series(scaled_model(engine=engine)):
            assert names(selector) <= exposed
    assert engine_of("vllm").metrics.own_label == "engine"

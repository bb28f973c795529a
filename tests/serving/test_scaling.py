from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes_version import KubernetesVersion
from serving import signals
from serving.scaling import ScalingBounds, external_metric, scaled_object_spec, trigger_signals
from tests.serving.horizontal_pod_autoscaler import wanted_replicas

OLD, NEW = KubernetesVersion(1, 34), KubernetesVersion(1, 36)


def spec(
    minimum: int = 1,
    maximum: int = 8,
    stabilization: int = 300,
    kubernetes: KubernetesVersion | None = NEW,
) -> Any:
    bounds = ScalingBounds(minimum, maximum, stabilization, sleep_after_seconds=600)
    return scaled_object_spec("chat", bounds, "http://prometheus.example:9090", kubernetes)


def test_no_trigger_can_multiply_what_is_loading_or_take_silence_for_zero():
    for trigger in spec()["triggers"]:
        assert trigger["type"] == "prometheus"
        assert trigger["metricType"] == "AverageValue"
        assert trigger["metadata"]["threshold"] == "1"
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert trigger["metadata"]["serverAddress"] == "http://prometheus.example:9090"


def test_every_trigger_is_one_series_of_a_recorded_signal_in_replicas():
    queries = [trigger["metadata"]["query"] for trigger in spec(minimum=0)["triggers"]]
    assert len(queries) == len(set(queries)) == 5
    for query in queries:
        name, matchers = query.rstrip("}").split("{")
        assert signals.signal(name).unit == "replicas"
        assert matchers == 'namespace="inference",inference_service="chat"'


def test_when_blind_it_keeps_what_runs():
    fallback = spec(minimum=3)["fallback"]
    assert fallback["behavior"] == "currentReplicasIfHigher"
    assert fallback["replicas"] == 3


def test_a_model_that_may_sleep_is_woken_by_arrivals_and_not_put_to_sleep_by_errors():
    sleeping = spec(minimum=0)
    assert sleeping["minReplicaCount"] == 0
    # A trigger that falls back counts as active and would wake the model. Without, an error changes nothing.
    assert "fallback" not in sleeping
    assert signals.WAKE in sleeping["triggers"][-1]["metadata"]["query"]
    assert sleeping["triggers"][-1]["metadata"]["activationThreshold"] == "0"
    assert sleeping["cooldownPeriod"] == 600
    assert signals.WAKE not in trigger_signals(ScalingBounds(1, 8, 300, 600))


@pytest.mark.parametrize("maximum", [1, 5, 40])
def test_up_at_once_and_down_slowly(maximum: int):
    behavior = spec(maximum=maximum)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleUp"]["policies"][0]["value"] >= maximum
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert {policy["type"] for policy in behavior["scaleDown"]["policies"]} == {"Percent", "Pods"}


def test_the_hpa_has_the_models_name_and_keeps_replicas_when_it_is_removed():
    advanced = spec()["advanced"]
    assert advanced["horizontalPodAutoscalerConfig"]["name"] == "chat"
    # KEDA's default, which its Go type leaves out: written down it would differ after every refresh.
    assert "restoreToOriginalReplicaCount" not in advanced


@given(
    wish=st.integers(min_value=1, max_value=200_000),
    runs=st.integers(min_value=1, max_value=200),
    surge=st.integers(min_value=0, max_value=50),
)
def test_an_hpa_runs_exactly_what_is_wished_rounded_up(wish: int, runs: int, surge: int):
    behavior = spec(maximum=200)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    # The pods of a rollout count as replicas to the HPA.
    assert wanted_replicas(wish, runs + surge, behavior) == math.ceil(wish / 1000)


@pytest.mark.parametrize("kubernetes", [OLD, None])
@pytest.mark.parametrize(
    ("wish", "pods", "kept"),
    [
        (11_000, 10, 10),
        (10_200, 10, 10),
        (12_100, 11, 11),
        (10_000, 11, 11),
        (11_001, 10, 12),
        (9_000, 10, 10),
    ],
)
def test_where_the_tolerance_cannot_be_set_none_is_rendered(
    kubernetes: KubernetesVersion | None, wish: int, pods: int, kept: int
):
    behavior = spec(maximum=20, kubernetes=kubernetes)["advanced"]["horizontalPodAutoscalerConfig"][
        "behavior"
    ]
    assert all("tolerance" not in rules for rules in behavior.values())
    assert wanted_replicas(wish, pods, behavior) == kept


def test_the_tolerance_is_written_as_kubernetes_writes_it_back():
    behavior = spec()["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert [rules["tolerance"] for rules in behavior.values()] == ["0", "0"]


def test_metric_names_follow_the_order_of_triggers():
    assert [external_metric(index) for index in range(2)] == ["s0-prometheus", "s1-prometheus"]

"""What is said about autoscaling, against a Prometheus that knows what a test tells it."""

from __future__ import annotations

import pytest

from serving.verify.verifier.autoscaler import check_autoscaler, check_trigger
from serving.verify.verifier.failed import Failed
from serving.verify.verifier.prometheus import Prometheus
from tests.serving.verify.imitations import NOBODY, prometheus
from tests.serving.verify.scaled_model import (
    ACTIVE,
    MODEL,
    QUEUE,
    REPLICAS,
    TRIGGER,
    UP,
    VALUE,
    WORKING,
    Known,
)


def without(*queries: str) -> Known:
    return {query: values for query, values in WORKING.items() if query not in queries}


def trigger_failure(known: Known) -> str:
    with prometheus(known) as address, pytest.raises(Failed) as raised:
        check_trigger(Prometheus(address), MODEL, TRIGGER)
    return str(raised.value)


def autoscaler_failure(known: Known) -> str:
    with prometheus(known) as address, pytest.raises(Failed) as raised:
        check_autoscaler(Prometheus(address), MODEL)
    return str(raised.value)


def test_two_series_of_one_name_are_no_value():
    assert "is not one number" in trigger_failure({**WORKING, QUEUE: [1.0, 2.0]})
    assert "is not one number" in trigger_failure({**WORKING, QUEUE: ["NaN"]})


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((REPLICAS,), "kube-state-metrics does not know Deployment inference/chat"),
        ((UP,), "PodMonitor inference/engines selects pods labelled app.kubernetes.io/component=engine"),
        (("vllm:num_requests_running",), "the engine does not expose vllm:num_requests_running"),
        ((), "PrometheusRule inference/chat is not loaded"),
    ],
)
def test_a_trigger_without_a_value_names_the_first_broken_link(missing: tuple[str, ...], expected: str):
    line = trigger_failure(without(QUEUE, *missing))
    assert line.startswith("trigger inference:scaling_queue:replicas of model chat: Prometheus has no value")
    assert expected in line


def test_a_pod_that_cannot_be_read_is_named():
    assert "1 pods are selected and none can be read" in trigger_failure({**without(QUEUE), UP: [0]})


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (without(ACTIVE), "there is no HPA inference/chat, which KEDA makes from the ScaledObject"),
        ({**WORKING, ACTIVE: [0]}, "its condition ScalingActive is not True"),
        (without(VALUE), "no current value of s0-prometheus (inference:scaling_queue:replicas)"),
        ({**WORKING, REPLICAS: [0]}, "Deployment inference/chat asks for 0 replicas, and its minimum is 1"),
    ],
)
def test_an_autoscaler_that_does_not_work_is_named(known: Known, expected: str):
    line = autoscaler_failure(known)
    assert expected in line
    assert line.endswith("look: kubectl -n inference describe hpa,scaledobject chat")


def test_a_prometheus_that_does_not_answer():
    with pytest.raises(Failed, match=r"^Prometheus at http://127\.0\.0\.1:1 does not answer \(URLError: "):
        Prometheus(NOBODY).query("up")

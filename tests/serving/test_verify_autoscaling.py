"""What the verification says about autoscaling, against a Prometheus that knows what a test tells it."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from serving.verify import verify
from serving.verify.job import VerificationArgs, VerifiedModel, deadline_seconds, job_spec
from tests.serving.contracts import cluster_contract
from tests.serving.test_verify import CHAT, gateway, openai_error, run, stream

QUEUE = 'inference:scaling_queue:replicas{inference_service="chat"}'
TRIGGER = {"signal": "inference:scaling_queue:replicas", "query": QUEUE, "metric": "s0-prometheus"}
MODEL: dict[str, Any] = {**CHAT, "triggers": [TRIGGER], "engine_series": ["vllm:num_requests_running"]}

HPA = 'namespace="inference",horizontalpodautoscaler="chat"'
REPLICAS = 'kube_deployment_spec_replicas{namespace="inference",deployment="chat"}'
ACTIVE = f'kube_horizontalpodautoscaler_status_condition{{{HPA},condition="ScalingActive",status="true"}}'
VALUE = f'kube_horizontalpodautoscaler_status_target_metric{{{HPA},metric_name="s0-prometheus"}}'
UP = 'up{namespace="inference",inference_service="chat"}'
GOOD: Mapping[str, list[object]] = {
    QUEUE: [0.0],
    REPLICAS: [1],
    ACTIVE: [1],
    VALUE: [0],
    UP: [1],
    "vllm:num_requests_running": [0],
}


@contextmanager
def prometheus(known: Mapping[str, list[object]]) -> Iterator[str]:
    """A Prometheus that has these series; every other query gives none."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["query"][0]
            rows = [{"metric": {}, "value": [0, str(value)]} for value in known.get(asked, [])]
            body = json.dumps({"status": "success", "data": {"result": rows}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def without(*queries: str) -> dict[str, list[object]]:
    return {query: values for query, values in GOOD.items() if query not in queries}


def trigger_failure(known: Mapping[str, list[object]]) -> str:
    with prometheus(known) as address, pytest.raises(verify.Failed) as raised:
        verify.check_trigger(address, MODEL, TRIGGER)
    return str(raised.value)


def autoscaler_failure(known: Mapping[str, list[object]]) -> str:
    with prometheus(known) as address, pytest.raises(verify.Failed) as raised:
        verify.check_autoscaler(address, MODEL)
    return str(raised.value)


def test_every_trigger_and_the_autoscaler_have_a_line():
    with gateway() as address, prometheus(GOOD) as metrics:
        code, out, err = run(address, models=[MODEL], prometheus=metrics)
    assert (code, err) == (0, "")
    assert "trigger inference:scaling_queue:replicas of model chat: 0 replicas" in out
    assert "autoscaler of model chat: active, 1 triggers with a value" in out


def test_two_series_of_one_name_are_no_value():
    assert "is not one number" in trigger_failure({**GOOD, QUEUE: [1.0, 2.0]})
    assert "is not one number" in trigger_failure({**GOOD, QUEUE: ["NaN"]})


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
        ({**GOOD, ACTIVE: [0]}, "its condition ScalingActive is not True"),
        (without(VALUE), "no current value of s0-prometheus (inference:scaling_queue:replicas)"),
        ({**GOOD, REPLICAS: [0]}, "Deployment inference/chat asks for 0 replicas, and its minimum is 1"),
    ],
)
def test_an_autoscaler_that_does_not_work_is_named(known: Mapping[str, list[object]], expected: str):
    line = autoscaler_failure(known)
    assert expected in line
    assert line.endswith("look: kubectl -n inference describe hpa,scaledobject chat")


def test_a_prometheus_that_does_not_answer():
    with pytest.raises(verify.Failed, match=r"Prometheus at http://127\.0\.0\.1:1 does not answer"):
        verify.query("http://127.0.0.1:1", "up")


def test_a_model_that_sleeps_is_reported_and_left_asleep():
    with (
        gateway(model=openai_error(503, "model_unavailable")) as address,
        prometheus({REPLICAS: [0], QUEUE: [0.0]}) as metrics,
    ):
        code, out, _ = run(address, models=[{**MODEL, "minimum": 0}], prometheus=metrics)
    assert code == 0
    assert "model chat: asleep, with 0 replicas; not asked" in out
    assert "autoscaler of model chat: asleep, until requests arrive" in out


def test_a_model_that_may_not_sleep_and_has_no_replica_is_a_failure():
    with (
        gateway(model=openai_error(503, "model_unavailable")) as address,
        prometheus({REPLICAS: [0], QUEUE: [0.0]}) as metrics,
    ):
        code, _, err = run(address, models=[MODEL], prometheus=metrics)
    assert code == 1
    assert "model chat: no ready endpoint" in err


def test_a_model_is_woken_if_that_is_asked_for():
    answers = iter([openai_error(503, "model_unavailable"), openai_error(503, "model_unavailable")])
    model = {**MODEL, "minimum": 0, "when_asleep": "wake", "startup_seconds": 20}
    with gateway(model=lambda: next(answers, stream(None, "a"))) as address, prometheus(GOOD) as metrics:
        code, out, _ = run(address, seconds=0, models=[model], prometheus=metrics)
    assert code == 0
    assert "model chat: streamed 1 pieces" in out


def test_the_job_has_time_to_wake_models():
    def deadline(when_asleep: Any) -> int:
        model = VerifiedModel(
            "chat", "chat", "generate", 0, ("inference:scaling_queue:replicas",), (), when_asleep, 700
        )
        args = VerificationArgs(cluster_contract(), [model], lambda: "token", [])
        spec: Any = job_spec(args, "verify-1")
        return spec.active_deadline_seconds

    assert deadline("report") == deadline_seconds([])
    assert deadline("wake") == deadline_seconds([700]) == deadline_seconds([]) + 700


def test_the_job_names_triggers_as_keda_does():
    models = [
        VerifiedModel(
            "chat", "chat", "generate", 1, ("inference:scaling_queue:replicas",), ("a",), "report", 700
        )
    ]
    args = VerificationArgs(cluster_contract(), models, lambda: "token", [])
    spec: Any = job_spec(args, "verify-1")
    environment = {item.name: item.value for item in spec.template.spec.containers[0].env}
    (told,) = json.loads(environment["VERIFY_MODELS"])
    assert environment["VERIFY_PROMETHEUS"] == "http://prometheus.example:9090"
    assert told["triggers"] == [
        {
            "signal": "inference:scaling_queue:replicas",
            "query": 'inference:scaling_queue:replicas{namespace="inference",inference_service="chat"}',
            "metric": "s0-prometheus",
        }
    ]

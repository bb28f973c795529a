"""A second engine is a contract in the table: plan, manifests, gateway, signals and board follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.engines import ENGINES
from serving.engines.engine import Engine
from serving.replica import PRE_STOP_SECONDS
from serving.startup.stages import start_up, until_started
from stacks.load import parse
from stacks.plan import make_plan
from stacks.problems import StackError
from stacks.program import platform as program
from tests.recording import Recording, record
from tests.serving.engines.toy import TOY
from tests.stacks.environments import local_values, stack_on


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setitem(ENGINES, TOY.name, TOY)
    return TOY


def values(**changes: object) -> dict[str, Any]:
    """The local environment with its small model on the toy, and the large one on vLLM."""
    found = local_values()
    small = found["models"][0]
    del small["reasoning"]
    small.update(engine="toy", **changes)
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """What the program registers for such a stack."""
    ENGINES[TOY.name] = TOY
    try:
        stack = stack_on(tmp_path_factory.mktemp("toy") / "kubeconfig", values())
        yield record(lambda: program.export(program.build(stack)))
    finally:
        del ENGINES[TOY.name]


@pytest.fixture(scope="module")
def gateway(both: Recording) -> Mapping[str, Any]:
    """The gateway's documents by the name of their file."""
    files = both.one("ConfigMap", "gateway-config").inputs["data"]
    return {name: yaml.safe_load(text) for name, text in files.items()}


def pod(both: Recording, name: str) -> Any:
    return both.one("Deployment", name).inputs["spec"]["template"]["spec"]


def ports(both: Recording, policy: str) -> list[int]:
    spec = both.one("NetworkPolicy", policy).inputs["spec"]
    (rule,) = spec.get("ingress", spec.get("egress"))
    return [port["port"] for port in rule["ports"]]


def cluster_of(gateway: Mapping[str, Any], name: str) -> Any:
    return next(found for found in gateway["clusters.yaml"]["resources"] if found["name"] == name)


def test_a_name_that_is_not_in_the_table_is_refused_with_those_that_are():
    with pytest.raises(StackError) as error:
        parse(values(), "test")
    assert [str(problem) for problem in error.value.problems] == [
        'models[0].engine: "toy" is not allowed: Valid: vllm'
    ]


def test_one_in_the_table_is_planned(toy: Engine):
    plan = make_plan(parse(values(), "test"))
    assert [model.engine for model in plan.models] == ["toy", "vllm"]
    # Parsers are vLLM's: the row of the model names one, and the toy has none.
    assert plan.models[0].chat is not None
    assert plan.models[0].chat.tools is None


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        (
            {"reasoning": {"default": "off"}},
            "reasoning",
            "has no effect with engine toy: remove it, or use vllm",
        ),
        ({"tool_calls": {"parser": "hermes"}}, "tool_calls", "has no effect with engine toy"),
        (
            {"allowed_media_domains": ["a.example.com"]},
            "allowed_media_domains",
            "has no effect with engine toy",
        ),
        (
            {"adapters": [{"name": "a", "source": "x/y", "revision": "0" * 40, "rank": 8}]},
            "adapters",
            "has no effect with engine toy: remove it, or use vllm",
        ),
        (
            {"slo": {**local_values()["models"][0]["slo"], "ttft": {"seconds": 2.0, "objective": 0.95}}},
            "slo.ttft.seconds",
            "2 cannot be measured: engine toy does not time its first tokens, and the gateway counts those "
            "within 0.001,",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_path(toy: Engine, changes: dict[str, Any], path: str, words: str):
    with pytest.raises(StackError) as error:
        parse(values(**changes), "test")
    assert any(
        problem.path == f"models[0].{path}" and problem.message.startswith(words)
        for problem in error.value.problems
    ), error.value


def test_a_task_that_it_does_not_do_names_the_engines_that_do(toy: Engine):
    found = values(task="embed", model="Qwen/Qwen3-Embedding-0.6B")
    with pytest.raises(StackError, match=r'models\[0\].task: "embed" is not a task of engine toy: use vllm'):
        parse(found, "test")


def test_its_pod_is_its_own(both: Recording):
    found = pod(both, "chat")
    (container,) = found["containers"]
    assert container["image"].startswith("python:")
    assert container["args"] == ["--model", "/weights/model", "--name", "chat"]
    assert [entry["name"] for entry in container["env"]] == ["TOY_BATCH"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 30000,
        "metrics": 30002,
    }
    assert container["startupProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert container["livenessProbe"]["exec"]["command"] == ["toy-alive", "--quiet"]
    assert found["securityContext"]["runAsUser"] == 4242
    assert {volume["name"] for volume in found["volumes"]} == {"weights", "scratch", "tmp"}
    claims = [
        resource.inputs["metadata"]["name"]
        for resource in both
        if resource.inputs.get("kind") == "PersistentVolumeClaim"
    ]
    assert not [name for name in claims if name.startswith("compiled-chat-v")]
    assert [name for name in claims if name.startswith("compiled-chat-large-")]
    labels = both.one("Deployment", "chat").inputs["metadata"]["labels"]
    assert labels["inference.llm-platform/engine"] == "toy"
    (port,) = both.one("Service", "chat").inputs["spec"]["ports"]
    assert port["port"] == 30000


def test_a_drain_without_a_limit_is_ended_by_the_kill(both: Recording):
    found = pod(both, "chat")
    (container,) = found["containers"]
    # Its port closes at SIGTERM: the gateway has to have noticed by then.
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == PRE_STOP_SECONDS
    assert found["terminationGracePeriodSeconds"] == PRE_STOP_SECONDS + 130
    assert container["livenessProbe"]["terminationGracePeriodSeconds"] == PRE_STOP_SECONDS
    assert pod(both, "chat-large")["terminationGracePeriodSeconds"] == PRE_STOP_SECONDS + 240 + 5


def test_network_policies_open_its_ports(both: Recording):
    assert ports(both, "gateway-to-engines-in") == [8000, 30000]
    assert ports(both, "prometheus-to-engines-in") == [8000, 30002]
    assert ports(both, "verification-to-engines-in") == [30000]
    assert ports(both, "verification-to-engines-out") == [30000]


def test_its_metrics_are_read_at_their_port_and_nothing_else_is(both: Recording):
    spec = both.one("PodMonitor", "engines").inputs["spec"]
    read = {
        endpoint["relabelings"][0]["regex"]: (endpoint["port"], len(endpoint["metricRelabelings"]))
        for endpoint in spec["podMetricsEndpoints"]
        if endpoint["relabelings"][0]["action"] == "keep"
        and endpoint["relabelings"][0]["sourceLabels"]
        == ["__meta_kubernetes_pod_label_inference_llm_platform_engine"]
    }
    assert read == {"toy": ("metrics", 0), "vllm": ("http", 1)}


def test_the_gateway_talks_to_it_as_it_wants(gateway: Mapping[str, Any]):
    found = cluster_of(gateway, "chat")
    (endpoint,) = found["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 30000
    (options,) = found["typed_extension_protocol_options"].values()
    # Below the 3 s after which it closes an idle connection.
    assert options["common_http_protocol_options"]["idle_timeout"] == "2s"
    assert found["health_checks"][0]["http_health_check"]["path"] == "/ready"
    other = cluster_of(gateway, "chat-large")
    (endpoint,) = other["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 8000


def retry_policies(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "retry_policy" in node.get("route", {}):
            yield node["name"], node["route"]["retry_policy"]
        for value in node.values():
            yield from retry_policies(value)
    elif isinstance(node, list):
        for value in node:
            yield from retry_policies(value)


def test_a_full_queue_and_a_closed_port_are_tried_elsewhere(gateway: Mapping[str, Any]):
    found = dict(retry_policies(gateway["routes.yaml"]))
    assert found["chat"]["retriable_status_codes"] == [429]
    assert found["chat-large"]["retriable_status_codes"] == [503]
    assert {"connect-failure", "reset"} <= set(found["chat"]["retry_on"].split(","))


def test_first_tokens_are_timed_at_the_gateway(both: Recording, gateway: Mapping[str, Any]):
    assert "US_RX_BODY_BEG" in json.dumps(gateway["listeners.yaml"])
    rules = both.one("PrometheusRule", "chat").inputs["spec"]["groups"][0]["rules"]
    expressions = {rule["record"]: rule["expr"] for rule in rules}
    assert (
        'envoy_gateway_first_token_bucket{namespace="gateway",service="chat"'
        in (expressions["inference:ttft_seconds_bucket:rate2m"])
    )
    assert "toy:running" in expressions["inference:requests_running:sum"]
    assert not [expression for expression in expressions.values() if "vllm:" in expression]
    other = both.one("PrometheusRule", "chat-large").inputs["spec"]["groups"][0]["rules"]
    assert not [rule for rule in other if "first_token_bucket" in rule["expr"] or "toy:" in rule["expr"]]


def test_every_panel_of_its_board_has_a_recorded_signal(both: Recording):
    recorded = {
        rule["record"] for rule in both.one("PrometheusRule", "chat").inputs["spec"]["groups"][0]["rules"]
    }
    text = next(iter(both.one("ConfigMap", "board-scaling").inputs["data"].values()))
    drawn = {
        target["expr"].partition("{")[0]
        for panel in json.loads(text)["panels"]
        for target in panel.get("targets", [])
        if 'inference_service="chat"' in target["expr"]
    }
    assert drawn - recorded <= {"inference:scaling_wake:replicas"}


def test_the_verification_compares_what_it_lists(both: Recording):
    jobs = [resource for resource in both if resource.inputs.get("kind") == "Job"]
    (job,) = [resource for resource in jobs if resource.inputs["metadata"]["name"].startswith("verify-")]
    (container,) = job.inputs["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "VERIFY_MODELS"]
    assert {model["name"]: model["listed_at"] for model in json.loads(text)} == {
        "chat": "http://chat.inference.svc.cluster.local:30000/v1/models",
        "chat-large": None,
    }


def test_its_start_is_told_by_its_own_log():
    log = ["read in 12 s", "serving", "GET /"]
    pod = {"metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-12-01T00:00:00Z"}}
    assert until_started(log, 100, TOY.start_log) == log[:2]
    found = start_up(pod, [], log, TOY.start_log)
    assert (found.loading, found.compiling, found.from_cache) == (12, None, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda engine: replace(engine, checks_names=True),
        lambda engine: replace(engine, metrics_port=engine.upstream.port),
    ],
    ids=["checks names", "one port"],
)
def test_an_engine_without_these_needs_no_more_than_vllm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[[Engine], Engine]
):
    engine = change(TOY)
    monkeypatch.setitem(ENGINES, "toy", engine)
    stack = stack_on(tmp_path / "kubeconfig", values())
    found = record(lambda: program.export(program.build(stack)))
    names = [each.inputs["metadata"]["name"] for each in found if each.inputs.get("kind") == "NetworkPolicy"]
    assert ("verification-to-engines-in" in names) is not engine.checks_names
    (container,) = pod(found, "chat")["containers"]
    assert len(container["ports"]) == (2 if engine.has_metrics_port else 1)

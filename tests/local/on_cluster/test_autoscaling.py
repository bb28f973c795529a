"""The whole path of a decision, with the real Pulumi, Prometheus, KEDA, HPA and Karpenter.

No stabilisation here: whatever would make replicas fall makes them fall at once, and a test that says that
they do not would notice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from serving.scaling import external_metric
from serving.signals import SIGNALS, WAKE, series
from tests.local.on_cluster.platform import STACK, Platform, updated
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.toolchain.obtain import Toolchain

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 60.0
BURST = 45
"""Requests at once: one replica computes 14, so 31 wait, and 6 of those fill one replica."""

BLIND_SECONDS = 30.0
"""Six of the HPA's periods: long enough for KEDA's fallback to begin, and for a fall to be seen."""

SLEEPER = "sleeper"
SLEEP_AFTER_SECONDS = 20
ASLEEP_BLIND_SECONDS = 40.0
"""Eight of KEDA's queries. With a fallback a sleeping model woke after 22 s without Prometheus, and after
26 s without kube-state-metrics."""

AWAKE_BLIND_SECONDS = 2.0 * SLEEP_AFTER_SECONDS
"""Twice as long as a model waits for the next request before it sleeps."""


@pytest.fixture(scope="module")
def platform(cluster: Cluster, toolchain: Toolchain) -> Iterator[Platform]:
    values = local_values()
    values["models"] = values["models"][:1]
    values["node_pools"] = values["node_pools"][:1]
    values["node_pools"][0]["max_nodes"] = 8
    values["models"][0]["scale_down_stabilization_seconds"] = 0
    values["models"].append(
        {
            **values["models"][0],
            "name": SLEEPER,
            "replicas": {"min": 0, "max": 1},
            "sleep_after_seconds": SLEEP_AFTER_SECONDS,
            "expected_load": {**values["models"][0]["expected_load"], "requests_per_second": 0.1},
        }
    )
    values["cluster"]["node_startup_seconds"] = 1
    with updated(cluster, toolchain, "autoscaling", values) as found:
        yield found


def replicas(platform: Platform, model: str = "chat") -> int:
    return platform.get("deployment", model)["spec"]["replicas"]


def wait_for_replicas(
    platform: Platform, least: int, most: int, seconds: float = PATIENCE_SECONDS, model: str = "chat"
) -> int:
    """Waits until the Deployment asks for a number within these bounds, and returns it."""
    deadline = time.monotonic() + seconds
    while not least <= (found := replicas(platform, model)) <= most:
        assert time.monotonic() < deadline, f"{found} replicas, expected {least} to {most}"
        time.sleep(0.5)
    return found


async def _ask_at_once(gateway: str) -> list[int]:
    from local.token import authorization

    body = {
        "model": "chat",
        "max_tokens": 150,
        "messages": [{"role": "user", "content": "word " * 1000}],
    }
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=gateway,
        headers=authorization(),
        timeout=PATIENCE_SECONDS,
        trust_env=False,
        limits=limits,
    ) as client:
        posts = [client.post("/v1/chat/completions", json=body) for _ in range(BURST)]
        return [answer.status_code for answer in await asyncio.gather(*posts)]


@contextmanager
def burst(platform: Platform) -> Iterator[None]:
    """Asks BURST times at once, and at the end waits for every answer, which must be good."""
    gateway = platform.gateway()
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.extend(asyncio.run(_ask_at_once(gateway))))
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert answers == [200] * BURST


def test_idle_is_numeric_and_active(platform: Platform):
    idle = {external_metric(index): "0" for index in range(4)}
    # The verify Job has just asked: what it put into the signals is gone with their window.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (values := platform.trigger_values("chat")) != idle:
        assert time.monotonic() < deadline, values
        time.sleep(0.5)
    scaled = platform.get("scaledobject", "chat")
    ready = {condition["type"]: condition["status"] for condition in scaled["status"]["conditions"]}
    assert (ready["Ready"], ready["Fallback"]) == ("True", "False")
    assert replicas(platform) == 1


def test_after_an_update_a_refresh_shows_no_change(platform: Platform):
    # KEDA has written its objects back by now.
    for model in ("chat", SLEEPER):
        assert platform.get("scaledobject", model)["metadata"]["finalizers"]
    planned = json.loads(platform.run("preview", "--refresh", "--json"))
    # Each resource is read once; what is then to be changed is a step of its own.
    read = [step["urn"] for step in planned["steps"] if step["op"] == "refresh"]
    assert any("ScaledObject" in urn for urn in read)
    changed = [step for step in planned["steps"] if step["op"] not in ("refresh", "same")]
    assert changed == []


def test_every_signal_is_recorded(platform: Platform):
    # These exist only with first tokens, or only for a model that may sleep.
    absent = {"inference:ttft_seconds:p50", "inference:ttft_seconds:p95", WAKE}
    absent.add("inference:ttft_within_objective:ratio_rate2m")
    for name in SIGNALS:
        if name.startswith("inference:") and name not in absent:
            values = platform.query(series(name, "chat"))
            assert values, name
            assert SIGNALS[name].extra_labels or len(values) == 1
    # The sleeper's machine may still be there.
    assert platform.query('node_pool:nodes:count{node_pool="l4"}') in ([1], [2])


def test_nothing_secret_is_readable_outside_the_cluster(platform: Platform):
    from local.token import FILES, token

    secrets = json.loads(
        platform.cluster.kubectl(
            "get", "secrets", "-n", "gateway", "-l", "app.kubernetes.io/name=verify", "-o", "json"
        )
    )["items"]
    (encoded,) = (secret["data"]["token"] for secret in secrets)
    shown = base64.b64decode(encoded).decode()
    # A signature is in nothing but its token.
    signature = shown.rpartition(".")[2]
    key = FILES.signing_key()
    assert key is not None
    private = "".join(key.pem().decode().splitlines()[1:-1])
    state = [path.read_text(errors="replace") for path in platform.state.rglob("*") if path.is_file()]
    assert any("verify-token-" in text for text in state)
    exported = [platform.plain_run("stack", what, "--stack", STACK) for what in ("output", "export")]
    for text in (*state, *exported):
        for secret in (shown, signature, encoded, private, "PRIVATE KEY", token()):
            assert secret not in text
    configurations = platform.cluster.kubectl("get", "configmaps,jobs,pods", "-A", "-o", "json")
    for secret in (shown, encoded, private, "PRIVATE KEY"):
        assert secret not in configurations


def test_a_queue_scales_out_and_the_next_preview_shows_no_change(platform: Platform):
    with burst(platform):
        wait_for_replicas(platform, 4, 5)
        planned = json.loads(platform.run("preview", "--json"))
        assert {step["op"] for step in planned["steps"]} == {"same"}
    wait_for_replicas(platform, 1, 3)


def test_replicas_never_fall_while_prometheus_is_away(platform: Platform):
    from local.cluster.supervision import Supervisor

    with burst(platform):
        before = wait_for_replicas(platform, 4, 5)
        Supervisor().stop("prometheus")
    try:
        ends = time.monotonic() + BLIND_SECONDS
        while time.monotonic() < ends:
            assert replicas(platform) >= before
            time.sleep(1)
    finally:
        Supervisor().start("prometheus")
    # Nothing but the missing metrics kept them. How soon they go is measured by `make chaos`, on a machine
    # that does nothing else.
    wait_for_replicas(platform, 1, before - 1, seconds=3 * PATIENCE_SECONDS)


@contextmanager
def away(program: str) -> Iterator[None]:
    """A part of the cluster that is down."""
    from local.cluster.supervision import Supervisor

    Supervisor().stop(program)
    try:
        yield
    finally:
        Supervisor().start(program)


def stays(platform: Platform, model: str, number: int, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert replicas(platform, model) == number
        time.sleep(1)


@pytest.mark.parametrize("part", ["prometheus", "kube-state-metrics"])
def test_a_sleeping_model_sleeps_on_while_nothing_can_be_read(platform: Platform, part: str):
    wait_for_replicas(platform, 0, 0, 2 * PATIENCE_SECONDS, SLEEPER)
    with away(part):
        stays(platform, SLEEPER, 0, ASLEEP_BLIND_SECONDS)
        assert replicas(platform) >= 1


def test_a_model_that_is_awake_does_not_fall_asleep_while_nothing_can_be_read(platform: Platform):
    from local.token import authorization

    wait_for_replicas(platform, 0, 0, 2 * PATIENCE_SECONDS, SLEEPER)
    asked = {"model": SLEEPER, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(
        f"{platform.gateway()}/v1/chat/completions", json=asked, headers=authorization(), trust_env=False
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    wait_for_replicas(platform, 1, 1, model=SLEEPER)
    with away("prometheus"):
        stays(platform, SLEEPER, 1, AWAKE_BLIND_SECONDS)
    # Back to normal: it sleeps because nobody asks.
    wait_for_replicas(platform, 0, 0, 4 * PATIENCE_SECONDS, SLEEPER)

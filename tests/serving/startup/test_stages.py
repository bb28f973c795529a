"""Stages from a pod as a cloud's kubelet and vLLM 0.32 describe it, and from less."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from serving.engines.vllm import VLLM
from serving.startup.__main__ import show
from serving.startup.stages import seconds_of, start_up, until_started

LOG = """\
(APIServer pid=1) INFO 11-24 10:02:31 [api_server.py:140] vLLM API server version 0.32.0
(EngineCore pid=42) INFO 11-24 10:02:45 [gpu_model_runner.py:5040] Starting to load model /weights/model...
(Worker_TP0 pid=51) INFO 11-24 10:03:10 [default_loader.py:502] Loading weights took 24.84 seconds
(Worker_TP1 pid=52) INFO 11-24 10:03:11 [default_loader.py:502] Loading weights took 25.90 seconds
(EngineCore pid=42) INFO 11-24 10:03:12 [runner.py:425] Model loading took 12.66 GiB memory and 31.6 seconds
(EngineCore pid=42) INFO 11-24 10:03:50 [monitor.py:60] torch.compile took 38.20 s in total
(EngineCore pid=42) INFO 11-24 10:04:02 [runner.py:1128] Graph capturing finished in 11 secs, took 0.48 GiB
(EngineCore pid=42) INFO 11-24 10:04:03 [core.py:396] init engine took 52.10 s (compilation: 38.20 s)
(APIServer pid=1) INFO:     Started server process [1]
(APIServer pid=1) INFO:     Application startup complete.
(APIServer pid=1) INFO:     127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK
""".splitlines()

POD: dict[str, Any] = {
    "metadata": {
        "name": "chat-0",
        "uid": "u1",
        "creationTimestamp": "2026-11-24T10:00:00Z",
        "labels": {"app.kubernetes.io/name": "chat"},
    },
    "status": {
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-24T10:01:40Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T10:04:05Z"},
        ],
        "containerStatuses": [
            {
                "name": "engine",
                "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-24T10:02:20Z"}},
            }
        ],
    },
}


def pulled(message: str, uid: str = "u1") -> dict[str, Any]:
    return {"reason": "Pulled", "involvedObject": {"uid": uid}, "message": message}


PULLED = pulled('Successfully pulled image "vllm/vllm-openai:v0.32.0" in 37.4s (37.4s including waiting)')


def test_every_stage_of_a_start_in_a_cloud():
    found = start_up(POD, [pulled("other", uid="u2"), PULLED], LOG, VLLM.start_log)
    assert found.model == "chat"
    assert (found.scheduling, found.pulling, found.preparing) == (100, 37.4, 40)
    # The slower of the two workers is what the start waits for.
    assert (found.loading, found.compiling, found.capturing) == (25.9, 38.2, 11)
    assert found.ready == 245
    assert found.remaining == pytest.approx(105 - 25.9 - 38.2 - 11)
    assert not found.from_cache
    total = (found.scheduling, found.preparing, found.loading, found.compiling, found.capturing)
    assert sum(filter(None, total)) + (found.remaining or 0) == pytest.approx(found.ready)


def test_what_has_not_happened_is_not_known():
    waiting = {"metadata": POD["metadata"], "status": {}}
    found = start_up(waiting, [], [], VLLM.start_log)
    assert (found.scheduling, found.preparing, found.loading, found.remaining, found.ready) == (None,) * 5


def test_a_node_that_has_the_image():
    message = 'Container image "vllm/vllm-openai:v0.32.0" already present on machine'
    assert start_up(POD, [pulled(message)], LOG, VLLM.start_log).pulling == 0


def test_code_from_the_cache_is_marked():
    line = "INFO [decorators.py:320] Directly load AOT compilation from path /compiled/vllm/x"
    found = start_up(POD, [PULLED], [*LOG, line], VLLM.start_log)
    assert found.from_cache
    text = io.StringIO()
    show([found], Console(file=text, width=200))
    assert "38.2 c" in text.getvalue()


@pytest.mark.parametrize(
    ("text", "seconds"), [("2m3.5s", 123.5), ("1h0m1s", 3601), ("850ms", 0.85), ("37.4s", 37.4), ("1m", 60)]
)
def test_durations_as_go_writes_them(text: str, seconds: float):
    assert seconds_of(text) == pytest.approx(seconds)


def test_requests_are_no_part_of_the_start():
    assert until_started(LOG, 1000, VLLM.start_log)[-1].endswith("Started server process [1]")
    assert len(until_started(LOG, 3, VLLM.start_log)) == 3

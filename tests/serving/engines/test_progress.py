"""The probe of an engine's progress, as the kubelet runs it, against a server that stands for the engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.container import container
from serving.engines.vllm import EXIT_SECONDS, IDLE_SECONDS, LEAST_REQUEST
from serving.names import ENGINE_PORT
from serving.replica import PRE_STOP_SECONDS
from sizing.models.task import Task
from tests.listening import listening
from tests.serving.contracts import small_replica

STUCK_SECONDS = 0.5
IDLE = 3.0


@dataclass
class StandIn:
    """health: status of /health. tokens: computed in all. answers: whether what is asked for is computed."""

    port: int = 0
    health: int = 200
    running: int = 0
    waiting: int = 0
    tokens: float = 0
    answers: bool = True
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def metrics(self) -> str:
        label = '{engine="0",model_name="chat"}'
        return (
            f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{label} {self.running}.0\n"
            f"vllm:num_requests_waiting{label} {self.waiting}.0\n"
            f'vllm:num_requests_waiting_by_reason{{reason="capacity"}} 7.0\n'
            f"vllm:prompt_tokens_total{label} 1e+03\n"
            f"vllm:generation_tokens_total{label} {self.tokens}\n"
        )


@contextmanager
def serving() -> Iterator[StandIn]:
    engine = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing: standard error is the test's."""

        def do_GET(self) -> None:
            status = engine.health if self.path == "/health" else 200
            self._answer(status, engine.metrics() if self.path == "/metrics" else "")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            engine.asked.append((self.path, body))
            if engine.answers:
                engine.tokens += 1
                self._answer(200, "{}")
            else:
                engine.over.wait(20)

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.port = server.server_address[1]
    with listening(server):
        try:
            yield engine
        finally:
            engine.over.set()


def probe(engine: StandIn, folder: Path, task: Task = "generate") -> subprocess.CompletedProcess[str]:
    """Runs the command of the rendered probe, for the stand-in."""
    rendered: Any = container(small_replica(task=task, stuck_after_seconds=1))
    words: list[str] = rendered.liveness_probe.exec_.command
    own = {
        f"http://127.0.0.1:{ENGINE_PORT}": f"http://127.0.0.1:{engine.port}",
        "/tmp/progress.json": str(folder / "progress.json"),
        "1": str(STUCK_SECONDS),
        str(IDLE_SECONDS): str(IDLE),
        "python3": sys.executable,
    }
    return subprocess.run(
        [own.get(word, word) for word in words], capture_output=True, text=True, timeout=15, check=False
    )


def healthy(engine: StandIn, folder: Path) -> bool:
    return probe(engine, folder).returncode == 0


def test_an_idle_engine_is_healthy_and_is_asked_nothing(tmp_path: Path):
    with serving() as engine:
        for _ in range(2):
            assert healthy(engine, tmp_path)
            time.sleep(STUCK_SECONDS)
        assert not engine.asked


def test_a_busy_engine_that_computes_is_healthy_and_is_asked_nothing(tmp_path: Path):
    with serving() as engine:
        engine.running = 3
        for _ in range(3):
            engine.tokens += 1
            assert healthy(engine, tmp_path)
            time.sleep(STUCK_SECONDS)
        assert not engine.asked


@pytest.mark.traffic
@pytest.mark.parametrize("kind", ["running", "waiting"])
def test_a_busy_engine_that_computes_nothing_is_not(tmp_path: Path, kind: str):
    with serving() as engine:
        setattr(engine, kind, 1)
        engine.answers = False
        assert healthy(engine, tmp_path)  # seen busy for the first time
        time.sleep(STUCK_SECONDS)
        found = probe(engine, tmp_path)
        assert found.returncode == 1
        assert "nothing computed for" in found.stderr
        assert len(found.stderr.splitlines()) == 1
        # It starts again with its counters at 0.
        engine.answers, engine.tokens = True, -1000
        assert healthy(engine, tmp_path)


@pytest.mark.traffic
def test_an_engine_that_got_stuck_while_it_had_nothing_to_do_is_found(tmp_path: Path):
    with serving() as engine:
        engine.answers = False
        assert healthy(engine, tmp_path)
        time.sleep(IDLE)
        assert not healthy(engine, tmp_path)
        engine.answers = True
        assert healthy(engine, tmp_path)
        asked = len(engine.asked)
        assert healthy(engine, tmp_path)
        assert len(engine.asked) == asked


@pytest.mark.traffic
def test_what_is_scaled_by_what_it_computes_is_asked_nothing_while_idle(tmp_path: Path):
    with serving() as engine:
        for _ in range(2):
            assert probe(engine, tmp_path, "embed").returncode == 0
            time.sleep(IDLE)
        assert not engine.asked


def test_a_gauge_that_lags_behind_ends_no_engine_that_computes(tmp_path: Path):
    with serving() as engine:
        engine.running = 1
        for _ in range(3):
            assert healthy(engine, tmp_path)
            time.sleep(STUCK_SECONDS)
        assert engine.asked


@pytest.mark.parametrize("task", list(LEAST_REQUEST))
def test_what_is_asked_for_is_the_least_of_the_task(tmp_path: Path, task: Task):
    with serving() as engine:
        engine.running = 1
        probe(engine, tmp_path, task)
        time.sleep(STUCK_SECONDS)
        assert probe(engine, tmp_path, task).returncode == 0
        path, body = LEAST_REQUEST[task]
        assert engine.asked == [(path, {"model": "chat", **body})]


def test_a_dead_engine_is_not_healthy(tmp_path: Path):
    with serving() as engine:
        engine.health = 503
        found = probe(engine, tmp_path)
        assert (found.returncode, "503" in found.stderr) == (1, True)
    assert not healthy(engine, tmp_path)  # the port is closed


def test_a_state_that_cannot_be_read_is_begun_anew(tmp_path: Path):
    (tmp_path / "progress.json").write_text("{", encoding="utf-8")
    with serving() as engine:
        engine.running = 1
        assert healthy(engine, tmp_path)


def test_a_stuck_engine_gets_no_time_to_drain():
    rendered: Any = container(small_replica(drain_seconds=600))
    grace = rendered.liveness_probe.termination_grace_period_seconds
    assert grace == PRE_STOP_SECONDS + EXIT_SECONDS

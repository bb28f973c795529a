"""How the emulator ends: drains that finish, drains that run out, aborts, and the faults on demand.

What is expected was seen with real servers of vLLM 0.32.0 and 0.33.0 on a CPU.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import orjson
import pytest

from local.engine.faults import Fault
from tests.local.engine.conftest import HTTP, Emulator, StartEmulator

LONG = {"prompt": "x", "max_tokens": 8000}
SHORT = {"prompt": "x", "max_tokens": 1}


class Caller:
    """A connection on which one request was sent and whatever comes back is kept."""

    def __init__(self, emulator: Emulator, **fields: object) -> None:
        host, port = emulator.url.removeprefix("http://").split(":")
        self._connection = socket.create_connection((host, int(port)))
        body = orjson.dumps({**LONG, **fields})
        head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        self._connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def received(self, seconds: float) -> tuple[bytes, bool]:
        """All bytes of the next `seconds`, and whether the connection was ended in that time."""
        found = b""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._connection.settimeout(left)
            try:
                part = self._connection.recv(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                return found, True
            if not part:
                return found, True
            found += part
        return found, False

    def leave(self) -> None:
        self._connection.close()


Call = Callable[..., Caller]


@pytest.fixture
def call() -> Iterator[Call]:
    """Opens connections with a request on each, and closes them after the test."""
    callers: list[Caller] = []

    def opened(emulator: Emulator, **fields: object) -> Caller:
        callers.append(Caller(emulator, **fields))
        return callers[-1]

    yield opened
    for caller in callers:
        caller.leave()


def accepts_connections(emulator: Emulator) -> bool:
    host, port = emulator.url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except ConnectionRefusedError:
        return False
    return True


def test_sigterm_lets_running_requests_finish_and_refuses_new_ones(start_emulator: StartEmulator):
    started = start_emulator("--shutdown-timeout", "20", "--max-num-queued-reqs", "2")
    replies: list[httpx.Response] = []

    def ask() -> None:
        body = {"prompt": "x", "max_tokens": 150}
        replies.append(HTTP.post(f"{started.url}/v1/completions", json=body, timeout=20))

    asking = threading.Thread(target=ask)
    asking.start()
    started.wait_for("vllm:num_requests_running", 1)
    started.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    chat = {"messages": [{"role": "user", "content": "x"}], "stream": True}
    for path, body in (("/v1/completions", SHORT), ("/v1/chat/completions", chat), ("/tokenize", SHORT)):
        refused = HTTP.post(f"{started.url}{path}", json=body)
        assert refused.status_code == 500
        assert refused.json()["error"]["message"] == "cannot schedule new futures after shutdown"
    full = HTTP.post(f"{started.url}/v1/completions", json={**SHORT, "n": 2})
    assert full.status_code == 503  # the bound is looked at first
    for path in ("/health", "/v1/models", "/metrics"):
        assert HTTP.get(f"{started.url}{path}").status_code == 200
    asking.join()
    assert replies[0].json()["usage"]["completion_tokens"] == 150
    assert replies[0].json()["choices"][0]["finish_reason"] == "length"
    assert started.process.wait(timeout=10) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_drain_that_runs_out_ends_in_silence(start_emulator: StartEmulator, call: Call, stream: bool):
    started = start_emulator("--shutdown-timeout", "1")
    caller = call(started, stream=stream)
    started.wait_for("vllm:num_requests_running", 1)
    started.process.send_signal(signal.SIGTERM)
    before, _ = caller.received(1.5)
    assert before.count(b"data: ") > 20 if stream else before == b""
    silence, ended = caller.received(2)
    assert (silence, ended) == (b"", False)
    assert not accepts_connections(started)
    assert started.process.poll() is None
    caller.leave()
    assert started.process.wait(timeout=5) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_without_a_timeout_sigterm_aborts(start_emulator: StartEmulator, call: Call, stream: bool):
    started = start_emulator()
    caller = call(started, stream=stream)
    started.wait_for("vllm:num_requests_running", 1)
    started.process.send_signal(signal.SIGTERM)
    answer, ended = caller.received(5)
    assert ended
    assert b'"finish_reason":"abort"' in answer
    assert answer.rstrip().endswith(b"data: [DONE]\n\n\r\n0" if stream else b"}")
    assert started.process.wait(timeout=5) == 0


@pytest.mark.parametrize("by_signal", [True, False])
def test_an_engine_that_hangs_looks_healthy(start_emulator: StartEmulator, call: Call, by_signal: bool):
    started = start_emulator("--shutdown-timeout", "1")
    running = call(started, stream=True)
    started.wait_for("vllm:num_requests_running", 1)
    if by_signal:
        started.process.send_signal(signal.SIGUSR1)
    else:
        call(started, prompt=f"please {Fault.HANG.value.decode()}")
    time.sleep(0.3)
    running.received(0.1)
    assert running.received(1) == (b"", False)
    late = call(started, stream=True)
    answer, ended = late.received(1)
    assert b"200 OK" in answer
    assert b"data: " not in answer
    assert not ended
    assert HTTP.get(f"{started.url}/health").status_code == 200
    started.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert started.process.poll() is None


def test_an_engine_that_dies_of_a_request_takes_all_with_it(start_emulator: StartEmulator, call: Call):
    started = start_emulator()
    streamed = call(started, stream=True)
    whole = call(started)
    started.wait_for("vllm:num_requests_running", 2)
    killer = HTTP.post(f"{started.url}/v1/completions", json={"prompt": Fault.CRASH.value.decode()})
    assert killer.status_code == 500
    assert killer.json()["error"]["message"].startswith("EngineCore encountered an issue.")
    assert killer.json()["error"]["type"] == "InternalServerError"
    assert HTTP.get(f"{started.url}/health").status_code == 200
    assert HTTP.post(f"{started.url}/v1/completions", json=SHORT).status_code == 500
    answer, _ = streamed.received(2)
    assert b'data: {"error": {"message": "EngineCore encountered an issue.' in answer
    assert b"data: [DONE]" in answer
    assert b'finish_reason":"' not in answer
    assert b"500 Internal Server Error" in whole.received(1)[0]
    assert started.process.wait(timeout=3) == 1


def test_a_process_that_is_killed_resets_its_connections(start_emulator: StartEmulator, call: Call):
    started = start_emulator()
    running = call(started, stream=True)
    started.wait_for("vllm:num_requests_running", 1)
    call(started, prompt=Fault.KILL.value.decode())
    _, ended = running.received(3)
    assert ended
    assert started.process.wait(timeout=3) == -signal.SIGKILL

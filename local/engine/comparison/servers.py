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

from local.engine.comparison.environment import LOW_PRIORITY, real_vllm_environment, real_vllm_python
from local.engine.comparison.tiny_model import CONTEXT, write_tiny_model

SERVED_NAME = "tiny"
EMULATED_MODEL = "Qwen/Qwen3-8B"
START_SECONDS = 300
"""The real engine takes 45 s on two idle cores."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers. root: the model's name or folder, which answers may repeat."""

    url: str
    root: str


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
def real_vllm(*flags: str) -> Iterator[RunningServer]:
    """A real vLLM with a tiny random model."""
    python = real_vllm_python()
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        model = write_tiny_model(Path(folder) / "model")
        port = free_port()
        command = [*LOW_PRIORITY, str(python), "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(model), "--load-format", "dummy", "--enforce-eager", "--dtype", "float32"]
        command += ["--served-model-name", SERVED_NAME, "--host", "127.0.0.1", "--port", str(port), *flags]
        with _running(command, real_vllm_environment(), port, Path(folder) / "log"):
            yield RunningServer(f"http://127.0.0.1:{port}", str(model))


@contextlib.contextmanager
def emulator(*flags: str, model: str = EMULATED_MODEL) -> Iterator[RunningServer]:
    """The emulator with the same name and context length."""
    port = free_port()
    command = [sys.executable, "-m", "local.engine", model, "--served-model-name", SERVED_NAME]
    command += ["--max-model-len", str(CONTEXT), *flags]
    environment = {
        **os.environ,
        "EMULATOR_LISTEN": f"127.0.0.1:{port}",
        "EMULATOR_ACCELERATOR": "nvidia-h100-80gb",
        "EMULATOR_COLD_START_SCALE": "0",
    }
    with (
        tempfile.TemporaryDirectory(prefix="emulator-") as folder,
        _running(command, environment, port, Path(folder) / "log"),
    ):
        yield RunningServer(f"http://127.0.0.1:{port}", model)


@contextlib.contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], port: int, log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(process, port, log)
        yield
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

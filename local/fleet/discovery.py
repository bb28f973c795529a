"""Which real addresses a Service name and port lead to: cluster DNS and kube-proxy as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local.fleet.kube import EndpointSlice, Service
from local.fleet.pod_model import Pod
from local.fleet.ports import annotated_ports

HEADLESS = "None"
CLUSTER_DOMAIN = "cluster.local"

Address = tuple[str, int]


@dataclass(frozen=True, order=True)
class Target:
    """A Service's port, as a client names it."""

    namespace: str
    service: str
    port: int

    def label(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"


def parse_service_name(host: str, namespace: str) -> tuple[str, str] | None:
    """Namespace and name of the Service that `host` means inside a pod of `namespace`.

    None for a name that is no Service's: an address, a pod's name, or a host outside the cluster.
    """
    parts = host.rstrip(".").lower().removesuffix(f".{CLUSTER_DOMAIN}").split(".")
    if not all(parts) or parts[-1].isdecimal():
        return None
    if len(parts) == 1:
        return namespace, parts[0]
    if len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
        return parts[1], parts[0]
    return None


@dataclass(frozen=True)
class Resolved:
    """A Service's ports with the addresses of its ready endpoints."""

    headless: bool
    ports: Mapping[int, frozenset[Address]]


def resolve(service: Service, slices: Iterable[EndpointSlice], pods: Mapping[str, Pod]) -> Resolved:
    """The addresses behind each port of a Service.

    A headless Service's name leads to the pods themselves, so that every port of a pod can be dialled;
    otherwise the Service's own ports are mapped to the pods' as its EndpointSlices say. A Service without
    pods may carry the address annotation itself: that is how something outside the cluster, on this machine,
    gets a name in it.

    Args:
        service: the Service.
        slices: its EndpointSlices.
        pods: by uid, those with the address annotation.
    """
    headless = service.spec.cluster_ip == HEADLESS
    found: dict[int, set[Address]] = {port.port: set() for port in service.spec.ports}
    for item in slices:
        targets = {port.name: port.port for port in item.ports}
        for endpoint in item.endpoints:
            if not endpoint.conditions.ready or endpoint.target_ref is None:
                continue
            pod = pods.get(endpoint.target_ref.uid)
            if pod is None:
                continue
            real = annotated_ports(pod.metadata.annotations)
            if headless:
                for port, address in real.items():
                    found.setdefault(port, set()).add(("127.0.0.1", address))
                continue
            for port in service.spec.ports:
                address = real.get(targets.get(port.name, 0))
                if address is not None:
                    found[port.port].add(("127.0.0.1", address))
    if service.spec.type != "LoadBalancer" and not any(found.values()):
        for port, address in annotated_ports(service.metadata.annotations).items():
            found.setdefault(port, set()).add(("127.0.0.1", address))
    return Resolved(headless=headless, ports={port: frozenset(items) for port, items in found.items()})


class DelayedRemoval:
    """A set that takes additions at once and removals late, as clients of DNS see a Service's endpoints."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._current: frozenset[Address] = frozenset()
        self._leaving: dict[Address, float] = {}

    def update(self, current: frozenset[Address], now: float) -> None:
        """Take the set as it is at time `now`, in seconds."""
        for address in self._current - current:
            self._leaving[address] = now + self._delay
        for address in current:
            self._leaving.pop(address, None)
        self._current = current

    def visible(self, now: float) -> frozenset[Address]:
        """What a client sees at `now`: the current set and what left less than the delay ago."""
        self._leaving = {address: until for address, until in self._leaving.items() if until > now}
        return self._current | self._leaving.keys()

    def next_change(self) -> float | None:
        """When the visible set shrinks next, or None."""
        return min(self._leaving.values(), default=None)

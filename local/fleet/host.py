"""What the pods of one fleet share on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.fleet.addresses import AddressPool
from local.fleet.api import Api
from local.fleet.backoff import BackoffPolicy
from local.fleet.endpoints import Endpoints
from local.fleet.events import Events
from local.fleet.kube import ConfigMap, PersistentVolumeClaim, Secret
from local.fleet.pod_model import Pod
from local.fleet.ports import PortAllocator


@dataclass(frozen=True)
class Settings:
    """How a fleet behaves.

    Attributes:
        state: the cluster's state folder.
        cold_start_scale: factor on the start-up stages of engines.
        endpoint_removal_delay: seconds for which clients still see an endpoint that has left a Service.
        backoff: how long crashing containers wait.
    """

    state: Path
    cold_start_scale: float
    endpoint_removal_delay: float
    backoff: BackoffPolicy

    @property
    def pods(self) -> Path:
        """One folder per pod: volumes, scratch space and logs."""
        return self.state / "pods"

    @property
    def claims(self) -> Path:
        """One folder per PersistentVolumeClaim."""
        return self.state / "claims"

    @property
    def own(self) -> Path:
        """What the fleet keeps for itself: endpoint files, the load balancer, its lock."""
        return self.state / "fleet"

    def pod_folder(self, pod: Pod) -> Path:
        metadata = pod.metadata
        return self.pods / f"{metadata.namespace}_{metadata.name}_{metadata.uid}"


@dataclass(frozen=True)
class Host:
    """The machine as its pods see it. `config_map`, `secret` and `claim` look up by namespace and name."""

    settings: Settings
    api: Api
    events: Events
    ports: PortAllocator
    addresses: AddressPool
    endpoints: Endpoints
    config_map: Callable[[str, str], ConfigMap | None]
    secret: Callable[[str, str], Secret | None]
    claim: Callable[[str, str], PersistentVolumeClaim | None]

"""The loopback ports of this cluster: chosen once, free at that moment, and kept until `make down`."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from local.paths import STATE

FILE = STATE / "ports.yaml"


@dataclass(frozen=True)
class Ports:
    karpenter_metrics: int
    karpenter_health: int
    keda_operator_metrics: int
    keda_operator_health: int
    keda_operator_grpc: int
    keda_adapter: int
    keda_adapter_metrics: int
    kube_state_metrics: int
    kube_state_metrics_telemetry: int
    prometheus: int
    prometheus_operator: int
    hub: int
    etcd: int
    etcd_peer: int


def chosen(file: Path = FILE) -> Ports:
    """This cluster's ports; the first call chooses them. They must outlive a restart: objects name them.

    A part that an older cluster did not have gets its port now.
    """
    every = [field.name for field in fields(Ports)]
    known: dict[str, int] = yaml.safe_load(file.read_text()) if file.exists() else {}
    names = [name for name in every if name not in known]
    if not names:
        return Ports(**{name: known[name] for name in every})
    with ExitStack() as held:
        # All are held at once: asking one after the other may give the same port twice.
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        known |= {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    ports = Ports(**{name: known[name] for name in every})
    file.write_text(yaml.safe_dump(asdict(ports), sort_keys=False))
    return ports

"""Karpenter with its KWOK provider: the real node autoscaler, buying imitated machines."""

from __future__ import annotations

from pathlib import Path

from local.cluster.instance_types import karpenter_instance_types
from local.cluster.ports import Ports
from local.cluster.supervision import Program
from local.paths import KUBECONFIG, STATE
from local.toolchain.obtain import Toolchain

INSTANCE_TYPES = STATE / "instance-types.json"


def custom_resource_definitions(toolchain: Toolchain) -> Path:
    """Folder of Karpenter's own definitions, from the same module as the program."""
    return toolchain.path("karpenter-kwok").parent / "crds"


def program(toolchain: Toolchain, ports: Ports) -> Program:
    """Karpenter as a supervised program; writes the machine catalogue that it reads once, at start."""
    INSTANCE_TYPES.write_text(karpenter_instance_types())
    return Program(
        name="karpenter",
        command=(str(toolchain.path("karpenter-kwok")),),
        order=40,
        environment={
            "KUBECONFIG": str(KUBECONFIG),
            "INSTANCE_TYPES_FILE_PATH": str(INSTANCE_TYPES),
            "SYSTEM_NAMESPACE": "kube-system",
            # One process only, and a lease would delay every restart by its duration.
            "DISABLE_LEADER_ELECTION": "true",
            "METRICS_PORT": str(ports.karpenter_metrics),
            "HEALTH_PROBE_PORT": str(ports.karpenter_health),
            "FEATURE_GATES": "CapacityBuffer=true",
        },
    )

"""Versions of Kubernetes, as far as what is rendered depends on them."""

from __future__ import annotations

from typing import NamedTuple


class KubernetesVersion(NamedTuple):
    """Release of a control plane, without its patch: 1.36 is (1, 36)."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def kubernetes_version(text: str) -> KubernetesVersion:
    """The version that a text such as "1.36" names."""
    major, minor = text.split(".")
    return KubernetesVersion(int(major), int(minor))


LOCAL_RELEASE = KubernetesVersion(1, 36)
"""What `make up` starts: the only release that local/toolchain/tools.toml accepts."""

CONFIGURABLE_TOLERANCE = KubernetesVersion(1, 35)
"""First release whose HPA has a `tolerance` of its own: feature gate HPAConfigurableTolerance, alpha and off
in 1.33, beta and on in 1.35 (pkg/features/kube_features.go of 1.36.2). Older API servers drop the field
silently, and the tolerance of the whole cluster holds: 10 %, a flag of the controller manager that managed
clusters do not offer."""

CAPACITY_BUFFERS = KubernetesVersion(1, 34)
"""First release whose Cluster Autoscaler, which has the numbers of Kubernetes, serves CapacityBuffers."""


def has_configurable_tolerance(version: KubernetesVersion | None) -> bool:
    """Whether an HPA's own tolerance is known to count; an unknown version (None) is taken for an old one."""
    return version is not None and version >= CONFIGURABLE_TOLERANCE

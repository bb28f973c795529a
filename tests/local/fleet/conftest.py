"""Small Kubernetes objects for the fleet's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.fleet.environment import Sources
from local.fleet.kube import ConfigMap, Secret
from local.fleet.pod_model import Pod

MakePod = Callable[..., Pod]


@pytest.fixture
def make_pod() -> MakePod:
    """Makes a pod from one container's fields and, by `spec`, `metadata` and `status`, the pod's own."""

    def make(
        *,
        spec: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
        **container: Any,
    ) -> Pod:
        return Pod.model_validate(
            {
                "metadata": {"name": "chat-0", "namespace": "inference", "uid": "u1", **(metadata or {})},
                "spec": {
                    "nodeName": "node-1",
                    "containers": [{"name": "main", "image": "python:3.13", **container}],
                    **(spec or {}),
                },
                "status": status or {},
            }
        )

    return make


@pytest.fixture
def sources() -> Sources:
    """A ConfigMap `settings` and a Secret `keys`, and a pod address."""
    settings = ConfigMap.model_validate(
        {
            "metadata": {"name": "settings"},
            "data": {"mode": "fast", "level": "3"},
            "binaryData": {"blob": "AAEC"},
        }
    )
    keys = Secret.model_validate({"metadata": {"name": "keys"}, "data": {"token": "c2VjcmV0"}})
    return Sources(
        config_map=lambda name: settings if name == "settings" else None,
        secret=lambda name: keys if name == "keys" else None,
        pod_ip="198.51.100.7",
    )

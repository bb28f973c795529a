"""What the cluster did during a run, once a second: replicas, nodes, autoscaler, and the neutral signals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from local.fleet.api import Api, ApiError
from serving.names import INFERENCE_NAMESPACE, NAME_LABEL

PROMETHEUS_SECONDS = 2.0
"""A Prometheus that does not answer in this time is recorded as blind."""


@dataclass(frozen=True)
class Node:
    """One machine of the model's pool. created and ready: seconds since the Unix epoch."""

    name: str
    machine_type: str
    created: float
    ready: float | None


@dataclass(frozen=True)
class Replica:
    """One pod of the model. created and ready: seconds since the Unix epoch."""

    name: str
    node: str | None
    created: float
    ready: float | None
    leaving: bool


@dataclass(frozen=True)
class Autoscaler:
    """The model's HorizontalPodAutoscaler. active: its condition ScalingActive; None if it has none yet."""

    desired: int
    minimum: int
    active: bool | None
    metrics_without_value: int


@dataclass(frozen=True)
class Sample:
    """The cluster at one moment.

    at: seconds after the start of the run. wanted: replicas in the Deployment's spec. autoscaler: None if the
    model is not scaled. signals: neutral name to value; None if Prometheus did not answer.
    """

    at: float
    wanted: int
    replicas: tuple[Replica, ...]
    nodes: tuple[Node, ...]
    autoscaler: Autoscaler | None
    signals: Mapping[str, float] | None

    @property
    def ready(self) -> int:
        return sum(1 for replica in self.replicas if replica.ready is not None and not replica.leaving)

    @property
    def desired(self) -> int:
        """What the autoscaler wants; what the Deployment says where there is none.

        KEDA wakes a sleeping model itself, before its HorizontalPodAutoscaler, which says 0, has looked.
        """
        if self.autoscaler is None or self.autoscaler.desired == 0:
            return self.wanted
        return self.autoscaler.desired


class Observer:
    """Reads one model's state. What does not answer is None, never an error."""

    def __init__(self, api: Api, prometheus: str, model: str, node_selector: str) -> None:
        self._api = api
        self._prometheus = httpx.AsyncClient(base_url=prometheus, trust_env=False, timeout=PROMETHEUS_SECONDS)
        self._model = model
        self._node_selector = node_selector

    async def close(self) -> None:
        await self._prometheus.aclose()

    async def sample(self, at: float) -> Sample | None:
        """The present state, or None while the API server does not answer."""
        base = f"/apis/apps/v1/namespaces/{INFERENCE_NAMESPACE}"
        autoscaling = f"/apis/autoscaling/v2/namespaces/{INFERENCE_NAMESPACE}/horizontalpodautoscalers"
        try:
            deployment, autoscalers, pods, nodes, signals = await asyncio.gather(
                self._api.get(f"{base}/deployments/{self._model}"),
                self._api.get(autoscaling),
                self._api.get(
                    f"/api/v1/namespaces/{INFERENCE_NAMESPACE}/pods",
                    labelSelector=f"{NAME_LABEL}={self._model}",
                ),
                self._api.get("/api/v1/nodes", labelSelector=self._node_selector),
                self._signals(),
            )
        except (ApiError, httpx.HTTPError):
            return None
        return Sample(
            at=at,
            wanted=deployment["spec"]["replicas"],
            replicas=tuple(map(replica, pods["items"])),
            nodes=tuple(map(node, nodes["items"])),
            autoscaler=next(
                (
                    autoscaler(item)
                    for item in autoscalers["items"]
                    if item["spec"]["scaleTargetRef"]["name"] == self._model
                ),
                None,
            ),
            signals=signals,
        )

    async def _signals(self) -> Mapping[str, float] | None:
        query = f'{{__name__=~"inference:.+", inference_service="{self._model}", le=""}}'
        try:
            answer = await self._prometheus.get("/api/v1/query", params={"query": query})
            rows = answer.raise_for_status().json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError):
            return None
        return {row["metric"]["__name__"]: float(row["value"][1]) for row in rows}


def replica(item: Mapping[str, Any]) -> Replica:
    metadata = item["metadata"]
    return Replica(
        name=metadata["name"],
        node=item["spec"].get("nodeName"),
        created=_time(metadata["creationTimestamp"]),
        ready=_since(item, "Ready"),
        leaving="deletionTimestamp" in metadata,
    )


def node(item: Mapping[str, Any]) -> Node:
    metadata = item["metadata"]
    return Node(
        name=metadata["name"],
        machine_type=metadata["labels"].get("node.kubernetes.io/instance-type", "unknown"),
        created=_time(metadata["creationTimestamp"]),
        ready=_since(item, "Ready"),
    )


def autoscaler(item: Mapping[str, Any]) -> Autoscaler:
    status = item.get("status", {})
    conditions = {row["type"]: row["status"] == "True" for row in status.get("conditions", [])}
    wanted = len(item["spec"].get("metrics", []))
    # A metric without a value is listed as an empty entry.
    current = [row for row in status.get("currentMetrics") or [] if row.get("type")]
    return Autoscaler(
        desired=status.get("desiredReplicas", 0),
        minimum=item["spec"].get("minReplicas", 1),
        active=conditions.get("ScalingActive"),
        metrics_without_value=max(0, wanted - len(current)),
    )


def _since(item: Mapping[str, Any], condition: str) -> float | None:
    for row in item.get("status", {}).get("conditions", []):
        if row["type"] == condition and row["status"] == "True":
            return _time(row["lastTransitionTime"])
    return None


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""Why a workload is not ready: what its pods, and the events about it, say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from local.pulumi.provider.api import ApiError, ApiServer, GroupVersionKind
from local.pulumi.provider.naming import identifier
from local.pulumi.provider.readiness import complaints, condition
from local.pulumi.provider.values import Object

_POD: Final = GroupVersionKind("", "v1", "Pod")
_EVENT: Final = GroupVersionKind("", "v1", "Event")
_REPLICA_SET: Final = GroupVersionKind("apps", "v1", "ReplicaSet")
_REVISION: Final = "deployment.kubernetes.io/revision"

_ORDINARY: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons for waiting that every pod passes through."""

_SHOWN: Final = 5
"""Pods and events named in one message: all replicas usually fail for one reason."""


def problems(pod: Mapping[str, Any]) -> list[str]:
    """What keeps a pod from being ready, in the words of the scheduler, the kubelet and the container itself.
    Empty for a pod that is ready, has completed, or is only starting."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return []
    found: list[str] = []
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        found.append(
            f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}".rstrip(": ")
        )
    if status.get("phase") == "Failed" and (status.get("reason") or status.get("message")):
        found.append(f"{status.get('reason', 'Failed')}: {status.get('message', '')}".rstrip(": "))
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        found += _container_problems(container)
    return found


def _container_problems(container: Mapping[str, Any]) -> Iterator[str]:
    name, state = container.get("name"), container.get("state", {})
    waiting, terminated = state.get("waiting"), state.get("terminated")
    last = container.get("lastState", {}).get("terminated")
    if waiting is not None and waiting.get("reason") not in _ORDINARY:
        yield f"container {name} waits: {waiting.get('reason')}: {waiting.get('message', '')}".rstrip(": ")
    if terminated is not None and terminated.get("exitCode", 0) != 0:
        yield f"container {name} {_end(terminated)}"
    elif last is not None and not container.get("ready"):
        restarts = container.get("restartCount", 0)
        yield f"container {name} has restarted {restarts} times; last time it {_end(last)}"


def _end(terminated: Mapping[str, Any]) -> str:
    text = f"ended with exit code {terminated.get('exitCode')}"
    if terminated.get("reason") not in (None, "Error", "Completed"):
        text += f" ({terminated['reason']})"
    message = terminated.get("message", "").strip()
    return f"{text}: {message}" if message else text


def explain(api: ApiServer, workload: Object) -> list[str]:
    """What to tell people about a workload that is not ready: its own conditions, its pods' problems, and
    where it has no pods the warnings about it. Reading these never fails an operation."""
    try:
        owner = _pod_owner(api, workload)
        pods = [] if owner is None else _owned_pods(api, owner)
        found = [
            f"pod {identifier(pod)} is {pod.get('status', {}).get('phase', 'Pending')}: {'; '.join(said)}"
            for pod in pods
            if (said := problems(pod))
        ]
        if not pods:
            found += _warnings(api, workload if owner is None else owner)
    except ApiError:
        found = []
    return list(dict.fromkeys([*found[:_SHOWN], *complaints(workload)]))


def _pod_owner(api: ApiServer, workload: Object) -> Object | None:
    """The object that owns the pods: of a Deployment, the ReplicaSet of its current revision."""
    kind = GroupVersionKind.of(workload)
    if kind.kind != "Deployment":
        return workload
    resource = api.resource(_REPLICA_SET)
    if resource is None:
        return None
    labels = workload["spec"]["selector"].get("matchLabels", {})
    revision = workload["metadata"].get("annotations", {}).get(_REVISION)
    for candidate in api.select(resource, workload["metadata"]["namespace"], labels):
        current = candidate["metadata"].get("annotations", {}).get(_REVISION) == revision
        if current and _owned_by(candidate, workload):
            return {**candidate, "apiVersion": _REPLICA_SET.api_version, "kind": _REPLICA_SET.kind}
    return None


def _owned_pods(api: ApiServer, owner: Object) -> list[Object]:
    resource = api.resource(_POD)
    selector = owner.get("spec", {}).get("selector")
    if owner["kind"] == "Pod":
        return [owner]
    if resource is None or not isinstance(selector, dict):
        return []
    pods = api.select(resource, owner["metadata"]["namespace"], selector.get("matchLabels", {}))
    return [pod for pod in pods if _owned_by(pod, owner)]


def _owned_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    references = obj["metadata"].get("ownerReferences", [])
    return any(reference.get("uid") == owner["metadata"]["uid"] for reference in references)


def _warnings(api: ApiServer, obj: Object) -> list[str]:
    resource = api.resource(_EVENT)
    namespace = obj["metadata"].get("namespace")
    if resource is None or namespace is None:
        return []
    fields = {"involvedObject.uid": obj["metadata"]["uid"], "type": "Warning"}
    events = api.select_by_field(resource, namespace, fields)
    return [f"[{event.get('reason')}] {event.get('message', '').strip()}" for event in events[-_SHOWN:]]

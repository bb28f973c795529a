"""A pod's status from the states of its containers: kubelet's rules as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.fleet.pod_model import Condition, ContainerState, ContainerStatus, Pod, PodStatus, RestartPolicy

_CREATING = ("ContainerCreating", "PodInitializing", "CreateContainerConfigError")


@dataclass(frozen=True)
class Failure:
    """Why a pod as a whole has failed, whatever its containers say."""

    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a pod is.

    Attributes:
        sandbox: volumes and network are there, so that containers can start.
        initialized: every init container has done its part.
        ending: nothing is started again: the pod is being deleted, has passed its deadline, or is over.
        failure: set once the pod as a whole has failed.
    """

    sandbox: bool = False
    initialized: bool = False
    ending: bool = False
    failure: Failure | None = None


def should_restart(policy: RestartPolicy, exit_code: int) -> bool:
    """Whether a container that ended with `exit_code` is started again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def phase(policy: RestartPolicy, containers: Sequence[ContainerState], progress: Progress) -> str:
    """The pod's phase, from its restart policy, the states of its main containers and its progress."""
    ended = [state.terminated.exit_code for state in containers if state.terminated is not None]
    running = any(state.running is not None for state in containers)
    if progress.failure is not None and not running:
        return "Failed"
    if not progress.initialized and not progress.ending:
        return "Pending"
    final = progress.ending or not any(should_restart(policy, code) for code in ended)
    if len(ended) == len(containers) and final:
        return "Failed" if any(ended) else "Succeeded"
    waiting = [state.waiting for state in containers if state.waiting is not None]
    return "Pending" if any(item.reason in _CREATING for item in waiting) and not running else "Running"


def pod_status(
    pod: Pod,
    address: str,
    init: Sequence[ContainerStatus],
    main: Sequence[ContainerStatus],
    progress: Progress,
    before: Sequence[Condition],
    now: datetime,
) -> PodStatus:
    """A pod's whole status.

    Args:
        pod: the pod; conditions that others own are read from its status.
        address: its IP address.
        init: the statuses of its init containers, sidecars included.
        main: the statuses of its main containers.
        progress: how far the pod is.
        before: the conditions that were reported last, for their transition times.
        now: the time of a transition.
    """
    reached = phase(pod.spec.restart_policy, [item.state for item in main], progress)
    sidecars = {item.name for item in pod.spec.init_containers if item.restart_policy == "Always"}
    own = {condition.type: condition.status for condition in pod.status.conditions}
    found = conditions(
        reached,
        progress,
        not_initialized=[item.name for item in init if not _done(item, item.name in sidecars)],
        not_ready=[
            item.name for item in [*init, *main] if not item.ready and (item in main or item.name in sidecars)
        ],
        failed_gates=[
            gate.condition_type for gate in pod.spec.readiness_gates if own.get(gate.condition_type) != "True"
        ],
    )
    return PodStatus(
        phase=reached,
        podIP=address,
        start_time=now if pod.status.start_time is None else pod.status.start_time,
        conditions=timed(found, before, now),
        container_statuses=list(main),
        init_container_statuses=list(init),
    )


def _done(status: ContainerStatus, sidecar: bool) -> bool:
    if sidecar:
        return status.started is True
    return status.state.terminated is not None and status.state.terminated.exit_code == 0


def conditions(
    phase: str,
    progress: Progress,
    *,
    not_initialized: Sequence[str],
    not_ready: Sequence[str],
    failed_gates: Sequence[str],
) -> list[Condition]:
    """The pod conditions that kubelet owns.

    Args:
        phase: the pod's phase.
        progress: how far the pod is.
        not_initialized: names of init containers that have not done their part.
        not_ready: names of containers that are not ready.
        failed_gates: readiness gates whose condition is not True.
    """
    sandbox = Condition(type="PodReadyToStartContainers", status="True" if progress.sandbox else "False")
    finished = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    if progress.initialized:
        initialized = Condition(
            type="Initialized", status="True", reason="PodCompleted" if phase == "Succeeded" else None
        )
    else:
        message = f"containers with incomplete status: [{' '.join(not_initialized)}]"
        initialized = Condition(
            type="Initialized", status="False", reason="ContainersNotInitialized", message=message
        )
    if finished is not None:
        return [sandbox, initialized, *_both("False", finished, None)]
    if not_ready:
        message = f"containers with unready status: [{' '.join(not_ready)}]"
        return [sandbox, initialized, *_both("False", "ContainersNotReady", message)]
    if failed_gates:
        message = f"readiness gates that are not True: [{' '.join(failed_gates)}]"
        ready = Condition(type="Ready", status="False", reason="ReadinessGatesNotReady", message=message)
        return [sandbox, initialized, Condition(type="ContainersReady", status="True"), ready]
    return [sandbox, initialized, *_both("True", None, None)]


def _both(status: str, reason: str | None, message: str | None) -> list[Condition]:
    kinds = ("ContainersReady", "Ready")
    return [Condition(type=kind, status=status, reason=reason, message=message) for kind in kinds]


def timed(found: Sequence[Condition], before: Sequence[Condition], now: datetime) -> list[Condition]:
    """`found` with transition times: the earlier one where the status has not changed, else `now`."""
    earlier = {item.type: item for item in before}
    result: list[Condition] = []
    for item in found:
        previous = earlier.get(item.type)
        unchanged = previous is not None and previous.status == item.status
        since = previous.last_transition_time if previous is not None and unchanged else now
        result.append(item.model_copy(update={"last_transition_time": since}))
    return result


def wire_status(status: PodStatus, host_ip: str, failure: Failure | None) -> dict[str, Any]:
    """The strategic merge patch of the status subresource.

    Conditions are merged by type, so those that others own stay; empty reasons are sent as null because a
    merge would keep the old ones.
    """
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    body["conditions"] = [item.model_dump(mode="json", by_alias=True) for item in status.conditions]
    body["hostIP"] = host_ip
    body["hostIPs"] = [{"ip": host_ip}]
    body["podIPs"] = [{"ip": status.pod_ip}]
    body["reason"] = None if failure is None else failure.reason
    body["message"] = None if failure is None else failure.message
    return {"status": body}

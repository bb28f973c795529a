"""What a pod's earlier status means for its containers when a fleet takes the pod over. Pure functions.

Container processes end with the fleet that started them. The next fleet reads in the pod's status what had
been there: containers that were running were lost, as after a restart of a machine.
"""

from __future__ import annotations

from local.fleet.pod_model import (
    Container,
    ContainerState,
    ContainerStatus,
    PodStatus,
    RestartPolicy,
    StateTerminated,
    StateWaiting,
)
from local.fleet.status import should_restart

LOST_EXIT_CODE = 137
"""What a container that was killed reports: 128 + SIGKILL."""


def status_before(container: Container, status: PodStatus) -> ContainerStatus | None:
    """The container's last reported status, or None."""
    for item in [*status.container_statuses, *status.init_container_statuses]:
        if item.name == container.name:
            return item
    return None


def settled(container: Container, policy: RestartPolicy, status: PodStatus) -> ContainerStatus | None:
    """The final status of a container that must not be started again; None for one to be started."""
    before = status_before(container, status)
    ended = None if before is None else _ended(before)
    if before is None or ended is None or should_restart(policy, ended.exit_code):
        return None
    return before.model_copy(
        update={"state": ContainerState(terminated=ended), "ready": False, "started": False}
    )


def first_status(container: Container, reason: str, status: PodStatus) -> ContainerStatus:
    """The status of a container that is about to be started, for the first time or again.

    Args:
        container: the container.
        reason: why it still waits.
        status: the pod's last reported status.
    """
    waiting = ContainerState(waiting=StateWaiting(reason=reason))
    fresh = ContainerStatus(name=container.name, image=container.image, started=False, state=waiting)
    before = status_before(container, status)
    if before is None:
        return fresh
    ended = _ended(before)
    if ended is None:
        ended = before.last_state.terminated
    last = ContainerState(terminated=ended)
    return fresh.model_copy(update={"restart_count": before.restart_count, "last_state": last})


def _ended(before: ContainerStatus) -> StateTerminated | None:
    if before.state.running is None:
        return before.state.terminated
    return StateTerminated(
        exit_code=LOST_EXIT_CODE,
        reason="ContainerStatusUnknown",
        message="the container's process ended with the fleet that had started it",
        started_at=before.state.running.started_at,
        containerID=before.container_id,
    )

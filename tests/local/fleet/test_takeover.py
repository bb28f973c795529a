from __future__ import annotations

from typing import Any

import pytest

from local.fleet.pod_model import RestartPolicy
from local.fleet.takeover import LOST_EXIT_CODE, first_status, settled
from tests.local.fleet.conftest import MakePod

RUNNING = {"running": {"startedAt": "2026-05-01T12:00:00Z"}}
DONE = {"terminated": {"exitCode": 0}}
CRASHED = {"terminated": {"exitCode": 1}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}


def before(state: dict[str, Any], last: dict[str, Any] | None = None, restarts: int = 2) -> dict[str, Any]:
    status = {"name": "main", "restartCount": restarts, "state": state, "lastState": last or {}}
    return {"containerStatuses": [status]}


@pytest.mark.parametrize(
    ("policy", "state", "exit_code"),
    [
        ("Always", RUNNING, None),
        ("Always", DONE, None),
        ("OnFailure", RUNNING, None),
        ("OnFailure", DONE, 0),
        ("OnFailure", CRASHED, None),
        ("Never", RUNNING, LOST_EXIT_CODE),
        ("Never", CRASHED, 1),
        ("Never", {"waiting": {"reason": "ContainerCreating"}}, None),
    ],
)
def test_what_may_not_run_again_is_settled(
    make_pod: MakePod, policy: RestartPolicy, state: dict[str, Any], exit_code: int | None
) -> None:
    pod = make_pod(status=before(state))
    found = settled(pod.spec.containers[0], policy, pod.status)
    terminated = None if found is None else found.state.terminated
    assert (None if terminated is None else terminated.exit_code) == exit_code
    assert found is None or not found.ready


def test_a_new_container_starts_from_nothing(make_pod: MakePod) -> None:
    pod = make_pod()
    status = first_status(pod.spec.containers[0], "ContainerCreating", pod.status)
    assert (status.restart_count, status.last_state.terminated) == (0, None)
    assert status.state.waiting is not None
    assert status.state.waiting.reason == "ContainerCreating"


@pytest.mark.parametrize(("state", "code"), [(RUNNING, LOST_EXIT_CODE), (CRASHED, 1), (WAITING, 9)])
def test_a_container_that_ran_before_keeps_its_count_and_how_it_ended(
    make_pod: MakePod, state: dict[str, Any], code: int
) -> None:
    pod = make_pod(status=before(state, {"terminated": {"exitCode": 9}}))
    status = first_status(pod.spec.containers[0], "ContainerCreating", pod.status)
    assert status.restart_count == 2
    assert status.last_state.terminated is not None
    assert status.last_state.terminated.exit_code == code

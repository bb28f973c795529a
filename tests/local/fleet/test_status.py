from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local.fleet.pod_model import Condition, ContainerState, ContainerStatus, RestartPolicy
from local.fleet.status import Failure, Progress, phase, pod_status, should_restart, timed, wire_status
from tests.local.fleet.conftest import MakePod

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EARLIER = datetime(2026, 5, 1, 11, tzinfo=UTC)
UP = Progress(sandbox=True, initialized=True)


def running() -> ContainerState:
    return ContainerState.model_validate({"running": {"startedAt": NOW}})


def waiting(reason: str) -> ContainerState:
    return ContainerState.model_validate({"waiting": {"reason": reason}})


def ended(code: int) -> ContainerState:
    return ContainerState.model_validate({"terminated": {"exitCode": code}})


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_restart_policies(policy: RestartPolicy, code: int, again: bool) -> None:
    assert should_restart(policy, code) is again


@pytest.mark.parametrize(
    ("policy", "states", "progress", "expected"),
    [
        ("Always", [waiting("ContainerCreating")], Progress(), "Pending"),
        ("Always", [waiting("PodInitializing")], Progress(sandbox=True), "Pending"),
        ("Always", [waiting("CreateContainerConfigError")], UP, "Pending"),
        ("Always", [running(), waiting("ContainerCreating")], UP, "Running"),
        ("Always", [running()], UP, "Running"),
        ("Always", [waiting("CrashLoopBackOff")], UP, "Running"),
        ("Always", [ended(1)], UP, "Running"),
        ("OnFailure", [ended(0)], UP, "Succeeded"),
        ("OnFailure", [ended(0), running()], UP, "Running"),
        ("OnFailure", [ended(1)], UP, "Running"),
        ("Never", [ended(0), ended(3)], UP, "Failed"),
        ("Always", [ended(0)], Progress(sandbox=True, initialized=True, ending=True), "Succeeded"),
        ("Always", [ended(137)], Progress(sandbox=True, initialized=True, ending=True), "Failed"),
        ("Never", [waiting("PodInitializing")], Progress(sandbox=True, failure=Failure()), "Failed"),
        ("Always", [running()], Progress(sandbox=True, initialized=True, failure=Failure()), "Running"),
    ],
)
def test_phases(
    policy: RestartPolicy, states: list[ContainerState], progress: Progress, expected: str
) -> None:
    assert phase(policy, states, progress) == expected


def container(name: str, state: ContainerState, ready: bool = True) -> ContainerStatus:
    return ContainerStatus(name=name, state=state, ready=ready, started=ready)


def conditions_of(
    make_pod: MakePod, main: list[ContainerStatus], progress: Progress, **pod: Any
) -> dict[str, str]:
    status = pod_status(make_pod(**pod), "198.51.100.1", [], main, progress, [], NOW)
    return {item.type: item.status for item in status.conditions}


def test_a_ready_pod(make_pod: MakePod) -> None:
    assert conditions_of(make_pod, [container("main", running())], UP) == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "True",
    }


def test_one_container_that_is_not_ready_is_named(make_pod: MakePod) -> None:
    main = [container("main", running()), container("slow", running(), ready=False)]
    status = pod_status(make_pod(), "198.51.100.1", [], main, UP, [], NOW)
    [ready] = [item for item in status.conditions if item.type == "Ready"]
    assert (ready.status, ready.reason) == ("False", "ContainersNotReady")
    assert ready.message == "containers with unready status: [slow]"


def test_a_readiness_gate_holds_the_pod_back_until_somebody_sets_it(make_pod: MakePod) -> None:
    spec = {"readinessGates": [{"conditionType": "example.com/warm"}]}
    main = [container("main", running())]
    assert conditions_of(make_pod, main, UP, spec=spec)["Ready"] == "False"
    status = {"conditions": [{"type": "example.com/warm", "status": "True"}]}
    assert conditions_of(make_pod, main, UP, spec=spec, status=status)["Ready"] == "True"


def test_a_sidecar_counts_for_readiness_and_a_finished_init_container_does_not(make_pod: MakePod) -> None:
    spec = {
        "initContainers": [
            {"name": "once", "image": "python:3"},
            {"name": "proxy", "image": "python:3", "restartPolicy": "Always"},
        ]
    }
    init = [container("once", ended(0), ready=False), container("proxy", running(), ready=False)]
    status = pod_status(make_pod(spec=spec), "ip", init, [container("main", running())], UP, [], NOW)
    [ready] = [item for item in status.conditions if item.type == "Ready"]
    assert ready.message == "containers with unready status: [proxy]"


def test_transition_times_move_only_with_the_status() -> None:
    before = [Condition(type="Ready", status="True", last_transition_time=EARLIER)]
    same = timed([Condition(type="Ready", status="True")], before, NOW)
    other = timed([Condition(type="Ready", status="False")], before, NOW)
    assert [same[0].last_transition_time, other[0].last_transition_time] == [EARLIER, NOW]


def test_what_is_sent_clears_old_reasons_and_speaks_the_apis_names(make_pod: MakePod) -> None:
    status = pod_status(make_pod(), "198.51.100.1", [], [container("main", running())], UP, [], NOW)
    body = wire_status(status, "127.0.0.1", None)["status"]
    assert body["podIP"] == "198.51.100.1"
    assert body["podIPs"] == [{"ip": "198.51.100.1"}]
    assert body["hostIP"] == "127.0.0.1"
    assert body["reason"] is None
    assert all(item["reason"] is None for item in body["conditions"])
    assert body["containerStatuses"][0]["state"] == {"running": {"startedAt": "2026-05-01T12:00:00Z"}}
    failed = wire_status(status, "127.0.0.1", Failure("DeadlineExceeded", "too long"))["status"]
    assert (failed["reason"], failed["message"]) == ("DeadlineExceeded", "too long")

from __future__ import annotations

import pytest

from local.pulumi.provider.pods import problems


def pod(*containers, **status):
    return {"metadata": {"name": "a"}, "status": {"containerStatuses": list(containers), **status}}


def container(ready=False, last=None, restarts=0, **state):
    last_state = {} if last is None else {"terminated": last}
    return {
        "name": "engine",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last_state,
    }


OUT_OF_MEMORY = {"exitCode": 1, "message": "out of memory"}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes: 1 Insufficient nvidia.com/gpu.",
}


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (pod(conditions=[UNSCHEDULABLE]), ["Unschedulable: 0/1 nodes: 1 Insufficient nvidia.com/gpu."]),
        (pod(container(waiting={"reason": "ContainerCreating"})), []),
        (pod(container(waiting={"reason": "ErrImagePull", "message": "no such tag"})),
         ["container engine waits: ErrImagePull: no such tag"]),
        (pod(container(terminated={"exitCode": 3, "reason": "Error", "message": "route answers 404\n"})),
         ["container engine ended with exit code 3: route answers 404"]),
        (pod(container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
         ["container engine ended with exit code 137 (OOMKilled)"]),
        (pod(container(last=OUT_OF_MEMORY, restarts=4, waiting={"reason": "CrashLoopBackOff"})),
         ["container engine waits: CrashLoopBackOff",
          "container engine has restarted 4 times; last time it ended with exit code 1: out of memory"]),
        (pod(container(ready=True, last={"exitCode": 1}, restarts=1, running={})), []),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), ["Evicted: low on memory"]),
        (pod(container(terminated={"exitCode": 0}), phase="Succeeded"), []),
        ({"metadata": {"name": "a"}}, []),
    ],
)  # fmt: skip
def test_what_a_pod_says_about_itself(obj, said):
    assert problems(obj) == said


def test_init_containers_speak_first():
    obj = pod(container(waiting={"reason": "PodInitializing"}))
    obj["status"]["initContainerStatuses"] = [{**container(terminated={"exitCode": 1}), "name": "init"}]
    assert problems(obj) == ["container init ended with exit code 1"]

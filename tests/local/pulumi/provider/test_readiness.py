from __future__ import annotations

import pytest

from local.pulumi.provider.readiness import (
    AnnotationError,
    awaits_deletion,
    complaints,
    judge,
    propagation_policy,
    timeout_seconds,
)


def live(api_version, kind, spec=None, status=None, generation=1):
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "a", "generation": generation},
        "spec": {} if spec is None else spec,
        "status": status,
    }


def annotated(**annotations):
    return {"metadata": {"annotations": {f"pulumi.com/{name}": value for name, value in annotations.items()}}}


def deployment(generation=1, wanted=2, **status):
    return live(
        "apps/v1", "Deployment", {"replicas": wanted}, {"observedGeneration": 1, **status}, generation
    )


ROLLED_OUT = {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize(
    ("obj", "detail"),
    [
        (deployment(**ROLLED_OUT), ""),
        (deployment(generation=2, **ROLLED_OUT), "its controller has not seen the change yet"),
        (deployment(), "0 of 2 pods created"),
        (deployment(**{**ROLLED_OUT, "replicas": 3}), "1 pods of the previous revision still running"),
        (deployment(**{**ROLLED_OUT, "availableReplicas": 1}), "1 of 2 pods available"),
        (deployment(wanted=0), ""),
    ],
)
def test_a_deployment_is_ready_as_kubectl_rollout_status_judges(obj, detail):
    judged = judge({}, obj)
    assert (judged.ready, judged.detail) == (detail == "", detail)


def stateful_set(spec, **status):
    return live("apps/v1", "StatefulSet", {"replicas": 1, **spec}, {"observedGeneration": 1, **status})


def daemon_set(**status):
    wanted = {"observedGeneration": 1, "desiredNumberScheduled": 1}
    return live("apps/v1", "DaemonSet", {}, {**wanted, **status})


def service(kind, *addresses):
    return live("v1", "Service", {"type": kind}, {"loadBalancer": {"ingress": list(addresses)}})


ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}
PARTITION = {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}}
IS_READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("obj", "ready"),
    [
        (stateful_set({}, readyReplicas=1, updatedReplicas=1), True),
        (stateful_set({}, readyReplicas=1), False),
        (stateful_set({}, updatedReplicas=1), False),
        (stateful_set(ON_DELETE, readyReplicas=1), True),
        (stateful_set(PARTITION, readyReplicas=2, updatedReplicas=1), True),
        (daemon_set(updatedNumberScheduled=1, numberAvailable=1), True),
        (daemon_set(updatedNumberScheduled=1), False),
        (daemon_set(), False),
        (live("v1", "Pod", status=IS_READY), True),
        (live("v1", "Pod", status={"phase": "Succeeded"}), True),
        (live("v1", "Pod", status={"phase": "Pending"}), False),
        (service("ClusterIP"), True),
        (service("LoadBalancer"), False),
        (service("LoadBalancer", {"ip": "127.0.0.1"}), True),
        (live("networking.k8s.io/v1", "Ingress", status={"loadBalancer": {}}), False),
        (live("v1", "PersistentVolume", status={"phase": "Bound"}), True),
        (live("v1", "PersistentVolume", status={"phase": "Pending"}), False),
        (live("v1", "ConfigMap"), True),
        (live("karpenter.sh/v1", "NodePool"), True),
    ],
)
def test_readiness_by_kind(obj, ready):
    judged = judge({}, obj)
    assert judged.ready is ready
    assert not judged.failed
    assert bool(judged.detail) is not ready


def job(*conditions, **status):
    return live(
        "batch/v1",
        "Job",
        status={"conditions": [dict(entry, status="True") for entry in conditions], **status},
    )


def test_a_job_is_ready_once_complete_and_hopeless_once_failed():
    assert judge({}, job({"type": "Complete"})).ready
    assert judge({}, job()).detail == "it has not started"
    assert "2 active, 0 succeeded, 1 failed" in judge({}, job(startTime="now", active=2, failed=1)).detail
    failed = judge({}, job({"type": "Failed", "reason": "BackoffLimitExceeded", "message": "too often"}))
    assert (failed.ready, failed.failed, failed.detail) == (False, True, "[BackoffLimitExceeded] too often")


def test_a_failed_pod_is_hopeless():
    assert judge({}, live("v1", "Pod", status={"phase": "Failed"})).failed


def definition(*conditions):
    return live(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", status={"conditions": list(conditions) or None}
    )


def test_a_definition_is_ready_once_established():
    assert not judge({}, definition()).ready
    assert judge({}, definition({"type": "Established", "status": "True"})).ready
    refused = judge(
        {}, definition({"type": "NamesAccepted", "status": "False", "reason": "Taken", "message": "pools"})
    )
    assert refused.failed
    assert refused.detail == "[Taken] pools"


def test_skip_await_makes_anything_ready():
    assert judge(annotated(skipAwait="true"), deployment()).ready
    assert not judge(annotated(skipAwait="false"), deployment()).ready


def test_wait_for_replaces_the_kinds_own_rule():
    pool = live(
        "karpenter.sh/v1",
        "NodePool",
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "No"}]},
    )
    assert judge(annotated(waitFor="condition=Ready"), pool).detail == "condition Ready is [No]"
    assert judge(annotated(waitFor="condition=Ready=False"), pool).ready
    assert not judge(annotated(waitFor='["condition=Ready=False", "condition=Other"]'), pool).ready


@pytest.mark.parametrize("expression", ["jsonpath={.status.phase}", "Ready", '["condition=Ready"', "[1]"])
def test_other_expressions_are_refused_with_what_is_understood(expression):
    with pytest.raises(AnnotationError, match="waitFor"):
        judge(annotated(waitFor=expression), deployment())


def test_how_long_to_wait():
    assert timeout_seconds({}, 0.0) == 600.0
    assert timeout_seconds(annotated(timeoutSeconds="30"), 0.0) == 30.0
    assert timeout_seconds(annotated(timeoutSeconds="30"), 5.0) == 5.0
    with pytest.raises(AnnotationError, match="'30s'"):
        timeout_seconds(annotated(timeoutSeconds="30s"), 0.0)


def test_what_a_deletion_does_to_dependants():
    config_map = live("v1", "ConfigMap")
    assert propagation_policy({}, deployment()) == "Foreground"
    assert propagation_policy({}, config_map) == "Background"
    assert propagation_policy(annotated(deletionPropagationPolicy="orphan"), deployment()) == "Orphan"
    assert propagation_policy(annotated(deletionPropagationPolicy="foreground"), config_map) == "Foreground"


def test_which_deletions_are_awaited():
    skipping = annotated(skipAwait="true")
    assert awaits_deletion({}, deployment())
    assert not awaits_deletion(skipping, deployment())
    assert awaits_deletion(skipping, live("v1", "ConfigMap"))


def test_complaints_are_the_failing_conditions():
    conditions = [
        {
            "type": "Available",
            "status": "False",
            "reason": "MinimumReplicasUnavailable",
            "message": "too few",
        },
        {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "forbidden"},
    ]
    assert complaints(deployment(conditions=conditions)) == [
        "[FailedCreate] forbidden",
        "[MinimumReplicasUnavailable] too few",
    ]

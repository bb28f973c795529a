"""What an update waits for, and what it says when that does not come."""

from __future__ import annotations

import json
import re
import signal

import psutil
import pytest

from tests.local.pulumi.programs import NAMESPACE, NOWHERE, job, workload
from tests.local.pulumi.project import Project, eventually

pytestmark = pytest.mark.cluster


def test_a_workload_that_does_not_become_ready_is_saved_explained_and_continued(project: Project):
    # Long enough for the scheduler to have said why, on a machine that is busy with other tests.
    hopeless = workload(selector=NOWHERE, annotations={"pulumi.com/timeoutSeconds": "8"})
    project.write(NAMESPACE + hopeless + job(selector=NOWHERE, activeDeadlineSeconds=1))
    output = project.fail("up", "--yes", "--skip-preview")
    assert f"Deployment {project.namespace}/web not ready within 8 s: 0 of 1 pods available" in output
    unschedulable = rf"pod {project.namespace}/web-\S+ is Pending: Unschedulable: .*node affinity/selector"
    assert re.search(unschedulable, output)
    assert f"Job {project.namespace}/once failed: [DeadlineExceeded]" in output
    saved = project.resources()
    assert "not ready within 8 s" in saved["web"]["initErrors"][0]
    uid = saved["web"]["outputs"]["metadata"]["uid"]

    project.write(NAMESPACE + workload(annotations={"pulumi.com/timeoutSeconds": "30"}) + job())
    assert project.steps()["web"] == "update"
    project.up()
    saved = project.resources()
    assert "initErrors" not in saved["web"]
    assert saved["web"]["outputs"]["metadata"]["uid"] == uid


def test_a_failed_job_shows_what_its_container_said(project: Project):
    project.write(NAMESPACE + job(selector=NOWHERE, backoffLimit=0))
    process = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: project.exists("pod", "--selector", "job-name=once"))
    first = "jsonpath={.items[0].metadata.name}"
    pod = project.kubectl("get", "pods", "--selector", "job-name=once", "--output", first)
    times = {"startedAt": None, "finishedAt": None}
    ended = {"exitCode": 3, "reason": "Error", "message": "route `chat` answers 404\n", **times}
    about = {"image": "busybox:1", "imageID": "", "ready": False, "restartCount": 0}
    container = {"name": "main", **about, "state": {"terminated": ended}}
    status = json.dumps({"status": {"phase": "Failed", "containerStatuses": [container]}})
    project.kubectl("patch", "pod", pod, "--subresource", "status", "--type", "merge", "--patch", status)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"Job {project.namespace}/once failed: [BackoffLimitExceeded]" in output
    assert "container main ended with exit code 3: route `chat` answers 404" in output


def test_a_failed_job_is_replaced_by_the_next_update_if_it_says_so(project: Project):
    project.write(NAMESPACE + job(selector=NOWHERE, activeDeadlineSeconds=1))
    project.fail("up", "--yes", "--skip-preview")
    assert project.steps().get("once", "same") != "replace"
    annotations = {"pulumi.com/replaceUnready": "true"}
    project.write(NAMESPACE + job(selector=NOWHERE, annotations=annotations, activeDeadlineSeconds=1))
    uid = project.resources()["once"]["outputs"]["metadata"]["uid"]
    project.fail("up", "--yes", "--skip-preview")
    again = project.resources()["once"]["outputs"]["metadata"]["uid"]
    assert again != uid


def test_pods_that_may_not_be_created_are_explained_although_there_are_none(project: Project):
    labels = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    restricted = NAMESPACE.replace('{"name": namespace}', f'{{"name": namespace, **{labels!r}}}')
    project.write(restricted + job(annotations={"pulumi.com/timeoutSeconds": "3"}))
    output = project.fail("up", "--yes", "--skip-preview")
    assert re.search(r'\[FailedCreate\] .*violates PodSecurity "restricted', output)


def test_skip_await_and_wait_for_change_what_is_waited_for(project: Project):
    project.write(NAMESPACE + workload(selector=NOWHERE, annotations={"pulumi.com/skipAwait": "true"}))
    project.up()
    wait_for = {"pulumi.com/waitFor": "condition=Available=True", "pulumi.com/timeoutSeconds": "1"}
    project.write(NAMESPACE + workload(selector=NOWHERE, annotations=wait_for))
    output = project.fail("up", "--yes", "--skip-preview")
    assert "condition Available is [MinimumReplicasUnavailable]" in output


def test_an_interrupted_update_ends_quietly_and_saves_what_it_made(project: Project):
    project.write(NAMESPACE + workload(selector=NOWHERE))
    process = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: project.exists("deployment", "web"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    assert "cancelled" in project.resources()["web"]["initErrors"][0]


def test_the_plugins_end_with_an_engine_that_is_killed(project: Project):
    project.write(NAMESPACE + workload(selector=NOWHERE))
    process = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: project.exists("deployment", "web"))
    plugins = psutil.Process(process.pid).children(recursive=True)
    assert len(plugins) >= 2
    process.kill()
    process.communicate(timeout=10)
    _, alive = psutil.wait_procs(plugins, timeout=10)
    assert alive == []

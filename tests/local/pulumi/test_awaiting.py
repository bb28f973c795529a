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
    project.write(
        NAMESPACE
        + workload(selector=NOWHERE, annotations='{"pulumi.com/timeoutSeconds": "3"}')
        + job('"activeDeadlineSeconds": 1,').replace(
            '"restartPolicy": "Never",', f'"restartPolicy": "Never", "nodeSelector": {NOWHERE},'
        )
    )
    output = project.fail("up", "--yes", "--skip-preview")
    assert f"Deployment {project.namespace}/web not ready within 3 s: 0 of 1 pods available" in output
    assert re.search(
        rf"pod {project.namespace}/web-\S+ is Pending: Unschedulable: .*node affinity/selector", output
    )
    assert f"Job {project.namespace}/once failed: [DeadlineExceeded]" in output
    saved = project.resources()
    assert "not ready within 3 s" in saved["web"]["initErrors"][0]
    uid = saved["web"]["outputs"]["metadata"]["uid"]

    project.write(NAMESPACE + workload(annotations='{"pulumi.com/timeoutSeconds": "30"}') + job(""))
    assert project.steps()["web"] == "update"
    project.up()
    saved = project.resources()
    assert "initErrors" not in saved["web"]
    assert saved["web"]["outputs"]["metadata"]["uid"] == uid


def test_a_failed_job_shows_what_its_container_said(project: Project):
    project.write(
        NAMESPACE
        + job('"backoffLimit": 0,').replace(
            '"restartPolicy": "Never",', f'"restartPolicy": "Never", "nodeSelector": {NOWHERE},'
        )
    )
    process = project.start("up", "--yes", "--skip-preview")
    pod = eventually(
        lambda: (
            project.exists("pod", "--selector", "job-name=once")
            and project.kubectl(
                "get", "pods", "--selector", "job-name=once", "--output", "jsonpath={.items[0].metadata.name}"
            )
        )
    )
    ended = {
        "exitCode": 3,
        "reason": "Error",
        "message": "route `chat` answers 404\n",
        "startedAt": None,
        "finishedAt": None,
    }
    status = {
        "phase": "Failed",
        "containerStatuses": [
            {
                "name": "main",
                "image": "busybox:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
        ],
    }
    project.kubectl(
        "patch",
        "pod",
        pod,
        "--subresource",
        "status",
        "--type",
        "merge",
        "--patch",
        json.dumps({"status": status}),
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"Job {project.namespace}/once failed: [BackoffLimitExceeded]" in output
    assert "container main ended with exit code 3: route `chat` answers 404" in output


def test_skip_await_and_wait_for_change_what_is_waited_for(project: Project):
    skipping = workload(selector=NOWHERE, annotations='{"pulumi.com/skipAwait": "true"}')
    project.write(NAMESPACE + skipping)
    project.up()
    waiting = workload(
        selector=NOWHERE,
        annotations='{"pulumi.com/waitFor": "condition=Available=True", "pulumi.com/timeoutSeconds": "1"}',
    )
    project.write(NAMESPACE + waiting)
    assert "condition Available is [MinimumReplicasUnavailable]" in project.fail(
        "up", "--yes", "--skip-preview"
    )


def test_an_interrupted_update_ends_quietly_and_saves_what_it_made(project: Project):
    project.write(NAMESPACE + workload(selector=NOWHERE))
    process = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: project.exists("deployment", "web"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    saved = project.resources()
    assert "cancelled" in saved["web"]["initErrors"][0]


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
    project.succeed("cancel", "--yes")

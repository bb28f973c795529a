"""Pods of the fleet on a real control plane: what a user of `kubectl` sees and what runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.local.fleet.cluster.conftest import Namespace, address, eventually, is_ready, python, server

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster


def process(namespace: Namespace, pod: str) -> psutil.Process:
    """The process of a pod's first container."""
    return psutil.Process(int(namespace.container(pod)["containerID"].removeprefix("process://")))


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=10.0)


def test_a_probed_container_becomes_ready_and_its_annotation_answers(namespace: Namespace) -> None:
    probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1}
    namespace.pod("web", [server(startupProbe=probe, livenessProbe=probe)])
    pod = namespace.wait_ready("web")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith(("198.51.100.", "203.0.113.", "192.0.2."))
    first = pod["metadata"]["annotations"]["local.llm-platform/address"]
    assert first == address(pod, 8000)
    assert get(f"http://{first}/").text == "web"
    conditions = {item["type"]: item["status"] for item in pod["status"]["conditions"]}
    assert conditions == dict.fromkeys(
        ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"], "True"
    )
    listening = [item for item in process(namespace, "web").net_connections() if item.status == "LISTEN"]
    assert [item.laddr.ip for item in listening] == ["127.0.0.1"]
    assert "Started" in namespace.events("web")


def test_readiness_follows_the_probe_and_a_failed_liveness_probe_restarts(namespace: Namespace) -> None:
    exists = ["python", "-c", "import os, sys; sys.exit(not os.path.exists('/state/' + sys.argv[1]))"]

    def probe(name: str) -> dict[str, Any]:
        return {"exec": {"command": [*exists, name]}, "periodSeconds": 1, "failureThreshold": 1}

    namespace.pod(
        "probed",
        [
            python(
                "import pathlib, time; pathlib.Path('/state/alive').write_text(''); time.sleep(60)",
                readinessProbe=probe("ready"),
                livenessProbe={**probe("alive"), "initialDelaySeconds": 1},
                volumeMounts=[{"name": "state", "mountPath": "/state"}],
            )
        ],
        volumes=[{"name": "state", "emptyDir": {}}],
        terminationGracePeriodSeconds=1,
    )
    eventually(lambda: namespace.container("probed").get("started"), "started")
    assert not namespace.container("probed")["ready"]
    [folder] = namespace.state.glob(f"pods/{namespace.name}_probed_*/volumes/state")
    (folder / "ready").touch()
    namespace.wait_ready("probed")
    (folder / "ready").unlink()
    eventually(lambda: not namespace.container("probed")["ready"], "no longer ready")
    (folder / "alive").unlink()
    eventually(lambda: namespace.container("probed")["restartCount"] == 1, "restarted")
    assert {"Unhealthy", "Killing"} <= set(namespace.events("probed"))


def test_a_startup_probe_holds_the_others_back(namespace: Namespace) -> None:
    probe = {"httpGet": {"path": "/missing", "port": 8000}, "periodSeconds": 1}
    namespace.pod("slow", [server(startupProbe={**probe, "failureThreshold": 60})])
    eventually(lambda: "Unhealthy" in namespace.events("slow"), "the startup probe has failed once")
    container = namespace.container("slow")
    assert (container["started"], container["ready"]) == (False, False)
    assert "running" in container["state"]


def test_a_crash_loop_shows_its_restarts_and_why(namespace: Namespace) -> None:
    namespace.pod("crash", [python("import sys; print('no such model'); sys.exit(3)")])

    def backing_off() -> dict[str, Any] | None:
        container = namespace.container("crash")
        reason = container.get("state", {}).get("waiting", {}).get("reason")
        return container if reason == "CrashLoopBackOff" else None

    container = eventually(backing_off, "CrashLoopBackOff")
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert "back-off 10s" in container["state"]["waiting"]["message"]
    assert namespace.status("crash")["phase"] == "Running"
    [log] = namespace.state.glob(f"pods/{namespace.name}_crash_*/c0.log")
    assert log.read_text() == "no such model\n"
    assert log.with_name("c0.previous.log").read_text() == "no such model\n"


def test_kubectl_logs(namespace: Namespace, cluster: Cluster) -> None:
    code = "import time; print('one'); print('two', flush=True); time.sleep(2); print('three')"
    namespace.pod("talker", [python(code)], restartPolicy="Never")
    namespace.wait_ready("talker")

    def logs(*options: str) -> str:
        return cluster.kubectl("logs", "--namespace", namespace.name, "talker", *options)

    eventually(lambda: logs() == "one\ntwo\n", "the output so far")
    assert logs("--tail=1") == "two\n"
    assert logs("--follow") == "one\ntwo\nthree\n"
    eventually(lambda: namespace.status("talker")["phase"] == "Succeeded", "the talker is done")
    assert logs("--tail=1") == "three\n"


def test_a_killed_process_is_replaced(namespace: Namespace) -> None:
    namespace.pod("victim", [server()])
    namespace.wait_ready("victim")
    process(namespace, "victim").kill()
    eventually(lambda: namespace.container("victim")["restartCount"] == 1, "restarted")
    pod = namespace.wait_ready("victim")
    assert namespace.container("victim")["lastState"]["terminated"]["exitCode"] == 137
    assert get(f"http://{address(pod, 8000)}/").text == "victim"


@pytest.mark.parametrize(
    ("code", "condition", "message"),
    [
        ("open('/dev/termination-log', 'w').write('all models answer')", "Complete", "all models answer"),
        ("import sys; sys.exit('model chat answers 404')", "Failed", "model chat answers 404"),
    ],
)
def test_a_job_ends_as_its_process_does_and_says_why(
    namespace: Namespace, code: str, condition: str, message: str
) -> None:
    container = python(
        code, name="verify", image="python:3", terminationMessagePolicy="FallbackToLogsOnError"
    )
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    namespace.create("jobs", "verify", spec={"backoffLimit": 0, "template": {"spec": spec}})

    def conditions() -> list[str]:
        job = namespace.get("jobs", "verify")
        assert job is not None
        return [item["type"] for item in job["status"].get("conditions", []) if item["status"] == "True"]

    eventually(lambda: condition in conditions(), f"Job {condition}")
    [pod] = namespace.items("pods", "job-name=verify")
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["message"] == message
    assert pod["status"]["phase"] == ("Succeeded" if condition == "Complete" else "Failed")


def test_a_pod_past_its_deadline_fails(namespace: Namespace) -> None:
    container = python("import time; time.sleep(60)")
    namespace.pod("late", [container], activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    eventually(lambda: namespace.status("late").get("phase") == "Failed", "failed")
    assert namespace.status("late")["reason"] == "DeadlineExceeded"
    volumes = [{"name": "config", "configMap": {"name": "never-made"}}]
    namespace.pod("stuck", [container], activeDeadlineSeconds=1, volumes=volumes)
    eventually(lambda: namespace.status("stuck").get("phase") == "Failed", "failed before it could start")


def test_a_pod_waits_for_its_config_map_and_sees_it_change(namespace: Namespace) -> None:
    mount = {"name": "config", "mountPath": "/config"}
    volumes = [{"name": "config", "configMap": {"name": "settings"}}]
    namespace.pod("web", [server(volumeMounts=[mount])], volumes=volumes)
    eventually(lambda: "FailedMount" in namespace.events("web"), "FailedMount")
    assert namespace.container("web")["state"]["waiting"]["reason"] == "ContainerCreating"
    namespace.create("configmaps", "settings", data={"greeting": "hello"})
    url = f"http://{address(namespace.wait_ready('web'), 8000)}/greeting"
    assert get(url).text == "hello"
    namespace.patch("configmaps", "settings", {"data": {"greeting": "good evening"}})
    eventually(lambda: get(url).text == "good evening", "the new text")


def test_a_missing_key_is_a_configuration_error_until_it_appears(namespace: Namespace) -> None:
    source = {"secretKeyRef": {"name": "keys", "key": "token"}}
    code = "import os, time; print(os.environ['TOKEN'], flush=True); time.sleep(60)"
    namespace.pod("keyed", [python(code, env=[{"name": "TOKEN", "valueFrom": source}])])

    def reason() -> str | None:
        return namespace.container("keyed").get("state", {}).get("waiting", {}).get("reason")

    eventually(lambda: reason() == "CreateContainerConfigError", "CreateContainerConfigError")
    namespace.create("secrets", "keys", stringData={"token": "abc"})
    namespace.wait_ready("keyed")
    [log] = namespace.state.glob(f"pods/{namespace.name}_keyed_*/c0.log")
    eventually(lambda: log.read_text() == "abc\n", "the secret in the log")


def test_init_containers_run_in_order_before_a_sidecar_and_the_rest(namespace: Namespace) -> None:
    def note(name: str, more: str = "") -> dict[str, Any]:
        code = f"import time; open('/shared/notes', 'a').write('{name} '); {more}"
        mounts = [{"name": "shared", "mountPath": "/shared"}]
        return {"name": name, "image": "python:3", "command": ["python", "-c", code], "volumeMounts": mounts}

    stay = "time.sleep(60)"
    started = {"exec": {"command": ["grep", "-q", "proxy", "/shared/notes"]}, "periodSeconds": 1}
    namespace.pod(
        "ordered",
        [note("main", stay)],
        initContainers=[
            note("one", "time.sleep(0.3)"),
            note("two"),
            {**note("proxy", stay), "restartPolicy": "Always", "startupProbe": started},
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
        terminationGracePeriodSeconds=1,
    )
    namespace.wait_ready("ordered")
    [notes] = namespace.state.glob(f"pods/{namespace.name}_ordered_*/volumes/shared/notes")
    eventually(lambda: notes.read_text() == "one two proxy main ", "all notes in order")


def test_deletion_lets_a_request_finish_within_the_grace_period(namespace: Namespace) -> None:
    hook = {"preStop": {"sleep": {"seconds": 1}}}
    namespace.pod("web", [server(lifecycle=hook)], terminationGracePeriodSeconds=15)
    pod = namespace.wait_ready("web")
    url = f"http://{address(pod, 8000)}"
    folder = folder_of(namespace, pod)
    answers: list[str] = []
    request = threading.Thread(target=lambda: answers.append(get(f"{url}/slow/3").text))
    request.start()
    time.sleep(0.3)
    namespace.delete("pods", "web")
    time.sleep(0.5)
    terminating = namespace.get("pods", "web")
    assert terminating is not None
    assert terminating["metadata"]["deletionTimestamp"]
    assert is_ready(terminating), "a pod that drains still serves"
    assert get(f"{url}/").text == "web", "the preStop hook keeps the server open"
    request.join()
    assert answers == ["web"]
    eventually(lambda: namespace.get("pods", "web") is None, "deleted")
    eventually(lambda: not folder.exists(), "its folder removed")


def test_deletion_kills_what_has_not_finished_after_the_grace_period(namespace: Namespace) -> None:
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    container = python(ignore + "print('deaf', flush=True); time.sleep(60)")
    namespace.pod("deaf", [container], terminationGracePeriodSeconds=3)
    log = folder_of(namespace, namespace.wait_ready("deaf")) / "c0.log"
    eventually(lambda: log.read_text() == "deaf\n", "its signal handler is in place")
    running = process(namespace, "deaf")
    namespace.delete("pods", "deaf")
    began = time.monotonic()
    time.sleep(1.5)
    assert running.is_running()
    eventually(lambda: namespace.get("pods", "deaf") is None, "deleted")
    assert 2.5 < time.monotonic() - began < 8
    assert not running.is_running()


def test_unknown_images_stay_with_kwok_and_may_accompany_a_known_one(namespace: Namespace) -> None:
    namespace.pod("other", [{"image": "nginx:1"}])
    namespace.pod("mixed", [server(), {"image": "nginx:1"}])
    assert "containerID" not in namespace.wait_ready("other")["status"]["containerStatuses"][0]
    assert not list(namespace.state.glob(f"pods/{namespace.name}_other_*"))
    mixed = namespace.wait_ready("mixed")
    assert [item["ready"] for item in mixed["status"]["containerStatuses"]] == [True, True]
    assert get(f"http://{address(mixed, 8000)}/").text == "mixed"
    for name in ("other", "mixed"):
        namespace.delete("pods", name)
        eventually(lambda name=name: namespace.get("pods", name) is None, "deleted")


def test_services_resolve_inside_a_container_and_nothing_else_is_dialled(namespace: Namespace) -> None:
    namespace.pod("web", [server()])
    namespace.create(
        "services", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    )
    code = f"""
import socket, time, urllib.request
for _ in range(100):
    try:
        answers = [
            urllib.request.urlopen(f"http://{{host}}/").read().decode()
            for host in ("web", "web.{namespace.name}", "web.{namespace.name}.svc.cluster.local")
        ]
        break
    except OSError:
        time.sleep(0.1)
for host in ("198.51.100.1", "example.com"):
    try:
        socket.create_connection((host, 80), 1)
    except OSError as error:
        answers.append(type(error).__name__)
open("/dev/termination-log", "w").write(" ".join(answers))
"""
    namespace.pod("client", [python(code)], restartPolicy="Never")
    eventually(lambda: namespace.status("client").get("phase") == "Succeeded", "the client is done")
    message = namespace.container("client")["state"]["terminated"]["message"]
    assert message == "web web web OSError gaierror"


def test_a_container_may_ask_the_api_server_with_its_own_token(namespace: Namespace) -> None:
    code = """
import json, pathlib, ssl, urllib.error, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount"
token = pathlib.Path(account + "/token").read_text()
request = urllib.request.Request(
    "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews",
    data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode(),
    headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"},
)
context = ssl.create_default_context(cadata=pathlib.Path(account + "/ca.crt").read_text())
answer = json.load(urllib.request.urlopen(request, context=context))
open("/dev/termination-log", "w").write(answer["status"]["userInfo"]["username"])
"""
    namespace.pod("client", [python(code)], restartPolicy="Never", automountServiceAccountToken=True)
    eventually(
        lambda: namespace.status("client").get("phase") in ("Succeeded", "Failed"), "the client is done"
    )
    message = namespace.container("client")["state"]["terminated"]["message"]
    assert message == f"system:serviceaccount:{namespace.name}:default"


def test_processes_end_with_their_node(namespace: Namespace, api: httpx.Client) -> None:
    labels = {"llm-platform/node-pool": namespace.name}
    size = {"cpu": "8", "memory": "8Gi", "pods": "10"}
    node = {
        "metadata": {"name": namespace.name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"capacity": size, "allocatable": size},
    }
    assert api.post("/api/v1/nodes", json=node).is_success
    namespace.pod("web", [server()], nodeSelector=labels)
    pod = namespace.wait_ready("web")
    running = process(namespace, "web")
    assert api.delete(f"/api/v1/nodes/{namespace.name}").is_success
    eventually(lambda: not running.is_running(), "its process has ended")
    namespace.delete("pods", "web")
    assert folder_of(namespace, pod).parent == namespace.state / "pods"


def folder_of(namespace: Namespace, pod: dict[str, Any]) -> Path:
    metadata = pod["metadata"]
    return namespace.state / "pods" / f"{namespace.name}_{metadata['name']}_{metadata['uid']}"

"""The stand-ins under the real Pulumi CLI, against the real API server."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.cluster

NAMESPACE = """
team = k8s.core.v1.Namespace("team", metadata={"name": namespace}, opts=options())
here = team.metadata["name"]
"""

NOWHERE = '{"llm-platform/no-such-node": "true"}'
"""A node selector that no node satisfies: the pods stay Pending, whatever else runs in the cluster."""


def workload(replicas: int = 1, selector: str = "{}", annotations: str = "{}", label: str = "web") -> str:
    return f"""
labels = {{"app": "{label}"}}
web = k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", "namespace": here, "annotations": {annotations}}},
    spec={{
        "replicas": {replicas},
        "selector": {{"matchLabels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{
                "nodeSelector": {selector},
                "containers": [{{"name": "main", "image": "busybox:1", "resources": {{"requests": {{"cpu": "1000m"}}}}}}],
            }},
        }},
    }},
    opts=options(),
)
"""


def job(body: str, name: str = "once") -> str:
    return f"""
{name} = k8s.batch.v1.Job(
    "{name}",
    metadata={{"name": "{name}", "namespace": here}},
    spec={{
        {body}
        "template": {{"spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox:1"}}]}}}},
    }},
    opts=options(),
)
"""


def test_preview_refuses_a_misspelt_field_by_its_path_although_its_namespace_is_still_to_come(project: Any):
    project.write(NAMESPACE + workload().replace('"replicas": 1', '"replicaz": 1'))
    assert 'unknown field "spec.replicaz"' in project.fail("preview")
    assert not project.exists("namespace", project.namespace)


def test_preview_refuses_a_value_that_the_server_would_refuse(project: Any):
    project.write(NAMESPACE + workload(replicas=-1))
    assert "spec.replicas" in project.fail("preview")


def test_an_update_waits_for_its_objects_and_a_second_one_finds_nothing_to_do(project: Any):
    project.write(
        NAMESPACE
        + workload(replicas=2)
        + job("")
        + """
settings = k8s.core.v1.ConfigMap("settings", metadata={"namespace": here}, data={"a": "1"}, opts=options())
token = k8s.core.v1.Secret(
    "token", metadata={"namespace": here}, string_data={"key": pulumi.Output.secret("hunter2")}, opts=options()
)
mixed = k8s.core.v1.ConfigMap(
    "mixed", metadata={"namespace": here}, data={"open": "1", "hidden": pulumi.Output.secret("hunter2")}, opts=options()
)
pulumi.export("available", web.status["available_replicas"])
pulumi.export("password", token.data["key"])
"""
    )
    output = project.up()
    assert output.count("A local stand-in for Pulumi's Kubernetes provider is in use") >= 1
    outputs = json.loads(project.succeed("stack", "output", "--json"))
    assert outputs == {"available": 2, "password": "[secret]"}
    conditions = json.loads(project.kubectl("get", "job", "once", "--output", "json"))["status"]["conditions"]
    assert "Complete" in {condition["type"] for condition in conditions}

    saved = project.resources()
    _assert_readable_by_the_official_plugin(saved, project.namespace)
    _assert_secrets_are_encrypted(project, saved)

    unchanged = project.succeed("preview", "--expect-no-changes", "--diff")
    assert "hunter2" not in unchanged
    refreshed = project.succeed("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert "unchanged" in refreshed
    project.succeed("destroy", "--yes", "--skip-preview")
    assert not project.exists("namespace", project.namespace)


def _assert_readable_by_the_official_plugin(saved: dict, namespace: str) -> None:
    assert saved["team"]["id"] == namespace
    assert saved["web"]["id"] == f"{namespace}/web"
    settings = saved["settings"]
    name = settings["inputs"]["metadata"]["name"]
    assert re.fullmatch(r"settings-[0-9a-f]{8}", name)
    assert settings["id"] == f"{namespace}/{name}"
    assert settings["inputs"]["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    outputs = settings["outputs"]
    assert outputs["__inputs"] == settings["inputs"]
    assert outputs["__initialApiVersion"] == "v1"
    assert re.fullmatch(r"pulumi-kubernetes-[0-9a-f]{8}", outputs["__fieldManager"])
    assert outputs["metadata"]["uid"]
    assert outputs["metadata"]["name"] == name


def _assert_secrets_are_encrypted(project: Any, saved: dict) -> None:
    for name in ("token", "mixed"):
        text = json.dumps(saved[name])
        assert "hunter2" not in text
        assert "aHVudGVyMg==" not in text
    assert "ciphertext" in saved["token"]["outputs"]["data"]
    assert "ciphertext" in saved["mixed"]["outputs"]["data"]["hidden"]
    assert saved["mixed"]["outputs"]["data"]["open"] == "1"
    backend = Path(project.variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    stored = backend / ".pulumi" / "stacks" / project.folder.name / "test.json"
    assert "hunter2" not in stored.read_text()


def test_refresh_finds_what_was_changed_by_hand_and_the_next_update_undoes_it(project: Any):
    project.write(NAMESPACE + workload())
    project.up()
    project.kubectl("patch", "deployment", "web", "--type", "merge", "--patch", '{"spec": {"replicas": 3}}')
    project.kubectl("label", "deployment", "web", "of-no-concern=true")
    assert project.steps() == {}
    drift = project.succeed("refresh", "--yes", "--skip-preview", "--diff")
    assert re.search(r"replicas: 1 +=> 3", drift)
    assert "of-no-concern" not in drift
    assert project.steps() == {"web": "update"}
    project.up()
    assert project.kubectl("get", "deployment", "web", "--output", "jsonpath={.spec.replicas}") == "1"
    assert "of-no-concern" in project.kubectl("get", "deployment", "web", "--output", "json")
    project.kubectl("delete", "deployment", "web", "--wait=true")
    project.succeed("refresh", "--yes", "--skip-preview")
    assert project.steps() == {"web": "create"}


def test_an_update_removes_what_the_program_no_longer_sets_and_keeps_what_ignore_changes_names(project: Any):
    settings = 'settings = k8s.core.v1.ConfigMap("settings", metadata={{"name": "settings", "namespace": here}}, data={}, opts=options({}))'
    project.write(NAMESPACE + settings.format({"a": "1", "b": "2"}, ""), enable_config_map_mutable=True)
    project.up()
    project.write(
        NAMESPACE + settings.format({"a": "3"}, 'ignore_changes=["data.a"]'), enable_config_map_mutable=True
    )
    assert project.steps() == {"settings": "update"}
    project.up()
    assert json.loads(project.kubectl("get", "configmap", "settings", "--output", "json"))["data"] == {
        "a": "1"
    }


def test_an_immutable_field_replaces_the_object(project: Any):
    settings = 'settings = k8s.core.v1.ConfigMap("settings", metadata={{"namespace": here}}, data={{"a": "{}"}}, opts=options())\n'
    # No table has volumeMode: the server's answer to a dry run says that it cannot change.
    claim = """
claim = k8s.core.v1.PersistentVolumeClaim(
    "claim",
    metadata={{"name": "claim", "namespace": here}},
    spec={{"accessModes": ["ReadWriteOnce"], "volumeMode": "{}", "resources": {{"requests": {{"storage": "1Gi"}}}}}},
    opts=options(),
)
"""
    project.write(NAMESPACE + workload() + job("") + settings.format(1) + claim.format("Filesystem"))
    project.up()
    before = project.resources()
    project.write(
        NAMESPACE
        + workload(label="other")
        + job("").replace("busybox:1", "busybox:2")
        + settings.format(2)
        + claim.format("Block")
    )
    planned = json.loads(project.succeed("preview", "--json"))
    reasons = {step["urn"].rpartition("::")[2]: step.get("replaceReasons") for step in planned["steps"]}
    assert reasons["web"] == ["spec.selector.matchLabels.app"]
    assert reasons["once"] == ["spec.template.spec.containers[0].image"]
    assert reasons["claim"] == ["spec.volumeMode"]
    assert reasons["settings"] == ["data.a"]
    # Fixed names: this update succeeds only because the old objects go before their successors come.
    project.up()
    after = project.resources()
    for name in ("web", "once", "claim", "settings"):
        assert before[name]["outputs"]["metadata"]["uid"] != after[name]["outputs"]["metadata"]["uid"]
    assert after["settings"]["id"] != before["settings"]["id"]
    assert not project.exists("configmap", before["settings"]["id"].partition("/")[2])


def test_a_workload_that_does_not_become_ready_is_saved_explained_and_continued(project: Any):
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


def test_a_failed_job_shows_what_its_container_said(project: Any):
    project.write(
        NAMESPACE
        + job('"backoffLimit": 0,').replace(
            '"restartPolicy": "Never",', f'"restartPolicy": "Never", "nodeSelector": {NOWHERE},'
        )
    )
    process = project.start("up", "--yes", "--skip-preview")
    pod = _eventually(
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


def test_skip_await_and_wait_for_change_what_is_waited_for(project: Any):
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


def test_a_custom_resource_waits_for_its_definition_in_the_same_update(project: Any):
    group = f"{project.namespace}.example.com"
    project.write(
        f"""
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "definition",
    metadata={{"name": "pools.{group}"}},
    spec={{
        "group": "{group}",
        "scope": "Cluster",
        "names": {{"kind": "Pool", "plural": "pools", "singular": "pool"}},
        "versions": [
            {{
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {{
                    "openAPIV3Schema": {{
                        "type": "object",
                        "properties": {{"spec": {{"type": "object", "properties": {{"size": {{"type": "integer"}}}}}}}},
                    }}
                }},
            }}
        ],
    }},
    opts=options(),
)
pool = k8s.apiextensions.CustomResource(
    "pool",
    api_version="{group}/v1",
    kind="Pool",
    metadata={{"name": "pool"}},
    spec={{"size": config.get_int("size") or 1}},
    opts=options(depends_on=[definition]),
)
"""
    )
    project.succeed("preview")
    project.up()
    assert project.resources()["pool"]["id"] == "pool"
    assert project.steps() == {}
    project.succeed("config", "set", "size", "2")
    assert project.steps() == {"pool": "update"}
    project.up()
    assert project.kubectl("get", f"pools.{group}", "pool", "--output", "jsonpath={.spec.size}") == "2"
    project.succeed("destroy", "--yes", "--skip-preview")


def test_deletion_waits_and_names_the_finalizer_that_holds_the_object(project: Any):
    project.write(
        NAMESPACE
        + """
held = k8s.core.v1.ConfigMap(
    "held",
    metadata={"name": "held", "namespace": here, "finalizers": ["example.com/hold"]},
    opts=options(custom_timeouts=pulumi.CustomTimeouts(delete="2s")),
)
"""
    )
    project.up()
    output = project.fail("destroy", "--yes", "--skip-preview")
    assert "still exists, not gone within 2 s; held by finalizer example.com/hold" in output
    assert project.exists("configmap", "held")
    project.kubectl(
        "patch", "configmap", "held", "--type", "merge", "--patch", '{"metadata": {"finalizers": null}}'
    )
    project.succeed("destroy", "--yes", "--skip-preview")
    assert not project.exists("configmap", "held")


def test_an_existing_object_is_neither_taken_over_nor_lost_but_can_be_imported(project: Any):
    project.write(NAMESPACE)
    project.up()
    project.kubectl("create", "configmap", "theirs", "--from-literal", "a=1")
    theirs = 'theirs = k8s.core.v1.ConfigMap("theirs", metadata={{"name": "theirs", "namespace": here}}, data={{"a": "1"}}, opts=options({}))'
    project.write(NAMESPACE + theirs.format(""))
    assert 'configmaps "theirs" already exists' in project.fail("up", "--yes", "--skip-preview")
    project.write(NAMESPACE + theirs.format(f'import_="{project.namespace}/theirs"'))
    project.up()
    assert project.steps() == {}
    assert project.resources()["theirs"]["id"] == f"{project.namespace}/theirs"


def test_other_machines_are_refused(project: Any, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(
        project.cluster.kubeconfig.read_text().replace("https://127.0.0.1", "https://192.0.2.1")
    )
    project.write(f'other = k8s.Provider("other", kubeconfig={str(elsewhere)!r})\n')
    assert "which is not on this machine" in project.fail("preview")


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ('k8s.core.v1.ConfigMapList("x", items=[], opts=options())', "holds a list"),
        (
            'k8s.core.v1.NamespacePatch("x", metadata={"name": "default"}, opts=options())',
            "core/v1:Namespace,",
        ),
        ('k8s.helm.v3.Release("x", chart="x", opts=options())', "is not supported by the local stand-in"),
    ],
)
def test_what_is_left_out_is_refused_by_name(project: Any, resource: str, said: str):
    project.write(resource)
    assert said in project.fail("preview")


def test_a_program_that_refuses_its_configuration_ends_with_its_message_alone(project: Any):
    project.write('raise pulumi.RunError("node_pools[0].accelerator: unknown accelerator `l5`")')
    output = project.fail("preview")
    assert output.partition("Diagnostics:")[2].count("unknown accelerator `l5`") == 1


def test_a_faulty_program_shows_its_own_traceback(project: Any):
    project.write("def broken():\n    return 1 / 0\n\n\nbroken()")
    done = project.run("preview")
    assert done.code != 0
    assert "ZeroDivisionError" in done.output
    assert "__main__.py" in done.output
    assert "language.py" not in done.output


PACK = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2 as a, analyzer_pb2_grpc, plugin_pb2


class Pack(analyzer_pb2_grpc.AnalyzerServicer):
    def Handshake(self, request, context):
        return a.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetAnalyzerInfo(self, request, context):
        policy = a.PolicyInfo(name="no-one", enforcementLevel=a.MANDATORY)
        return a.AnalyzerInfo(name="pack", version="1.0.0", policies=[policy], supportsConfig=True)

    def Configure(self, request, context):
        return empty_pb2.Empty()

    def ConfigureStack(self, request, context):
        return a.AnalyzerStackConfigureResponse()

    def Analyze(self, request, context):
        wrong = request.type.endswith(":ConfigMap") and request.properties["data"]["a"] == "1"
        found = a.AnalyzeDiagnostic(
            policyName="no-one", policyPackName="pack", policyPackVersion="1.0.0",
            message="a must not be 1", enforcementLevel=a.MANDATORY, urn=request.urn,
        )
        return a.AnalyzeResponse(diagnostics=[found] if wrong else [])

    def AnalyzeStack(self, request, context):
        return a.AnalyzeResponse()

    def Remediate(self, request, context):
        return a.RemediateResponse()


server = grpc.server(ThreadPoolExecutor(4))
analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Pack(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


def test_policy_packs_judge_the_preview(project: Any, tmp_path: Path):
    pack = tmp_path / "pack"
    pack.mkdir()
    pack.joinpath("PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.0.0\n")
    pack.joinpath("__main__.py").write_text(PACK)
    settings = 'k8s.core.v1.ConfigMap("settings", metadata={{"namespace": "default"}}, data={{"a": "{}"}}, opts=options())'
    project.write(settings.format(1))
    assert "a must not be 1" in project.fail("preview", "--policy-pack", str(pack))
    project.write(settings.format(2))
    project.succeed("preview", "--policy-pack", str(pack))


def test_an_interrupted_update_ends_quietly_and_saves_what_it_made(project: Any):
    project.write(NAMESPACE + workload(selector=NOWHERE))
    process = project.start("up", "--yes", "--skip-preview")
    _eventually(lambda: project.exists("deployment", "web"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    saved = project.resources()
    assert "cancelled" in saved["web"]["initErrors"][0]


def test_the_plugins_end_with_an_engine_that_is_killed(project: Any):
    project.write(NAMESPACE + workload(selector=NOWHERE))
    process = project.start("up", "--yes", "--skip-preview")
    _eventually(lambda: project.exists("deployment", "web"))
    plugins = psutil.Process(process.pid).children(recursive=True)
    assert len(plugins) >= 2
    process.kill()
    process.communicate(timeout=10)
    _, alive = psutil.wait_procs(plugins, timeout=10)
    assert alive == []
    project.succeed("cancel", "--yes")


def _eventually(condition, seconds: float = 20.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found

"""Create, change, refresh, replace, import and delete, against the real API server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.local.pulumi.programs import NAMESPACE, config_map, job, workload
from tests.local.pulumi.project import Project

pytestmark = pytest.mark.cluster

SECRETS = """
password = pulumi.Output.secret("hunter2")
token = k8s.core.v1.Secret(
    "token", metadata={"namespace": here}, string_data={"key": password}, opts=options()
)
mixed = k8s.core.v1.ConfigMap(
    "mixed", metadata={"namespace": here}, data={"open": "1", "hidden": password}, opts=options()
)
pulumi.export("available", web.status["available_replicas"])
pulumi.export("password", token.data["key"])
"""


def test_an_update_waits_for_its_objects_and_a_second_one_finds_nothing_to_do(project: Project):
    project.write(NAMESPACE + workload(replicas=2) + job() + config_map("settings", {"a": "1"}) + SECRETS)
    output = project.up()
    assert "A local stand-in for Pulumi's Kubernetes provider is in use" in output
    outputs = json.loads(project.succeed("stack", "output", "--json"))
    assert outputs == {"available": 2, "password": "[secret]"}
    conditions = json.loads(project.kubectl("get", "job", "once", "--output", "json"))["status"]["conditions"]
    assert "Complete" in {condition["type"] for condition in conditions}

    saved = project.resources()
    _assert_readable_by_the_official_plugin(saved, project.namespace)
    _assert_secrets_are_encrypted(project, saved)

    unchanged = project.succeed("preview", "--expect-no-changes", "--diff")
    assert "hunter2" not in unchanged
    project.succeed("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    project.succeed("destroy", "--yes", "--skip-preview")
    assert not project.exists("namespace", project.namespace)


def _assert_readable_by_the_official_plugin(saved: dict[str, Any], namespace: str) -> None:
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


def _assert_secrets_are_encrypted(project: Project, saved: dict[str, Any]) -> None:
    assert "ciphertext" in saved["token"]["outputs"]["data"]
    assert "ciphertext" in saved["mixed"]["outputs"]["data"]["hidden"]
    assert saved["mixed"]["outputs"]["data"]["open"] == "1"
    backend = Path(project.variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    stored = (backend / ".pulumi" / "stacks" / project.folder.name / "test.json").read_text()
    assert "hunter2" not in stored
    assert "aHVudGVyMg==" not in stored


def test_refresh_finds_what_was_changed_by_hand_and_the_next_update_undoes_it(project: Project):
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


def test_an_update_removes_what_the_program_dropped_and_keeps_what_ignore_changes_names(project: Project):
    before = config_map("settings", {"a": "1", "b": "2"}, metadata='{"name": "settings"}')
    after = config_map(
        "settings", {"a": "3"}, metadata='{"name": "settings"}', options='ignore_changes=["data.a"]'
    )
    project.write(NAMESPACE + before, enable_config_map_mutable=True)
    project.up()
    project.write(NAMESPACE + after, enable_config_map_mutable=True)
    assert project.steps() == {"settings": "update"}
    project.up()
    live = json.loads(project.kubectl("get", "configmap", "settings", "--output", "json"))
    assert live["data"] == {"a": "1"}


def volume_claim(mode: str) -> str:
    """A claim whose mode no table lists as immutable: only the server's answer to a dry run says so."""
    return f"""
k8s.core.v1.PersistentVolumeClaim(
    "claim",
    metadata={{"name": "claim", "namespace": here}},
    spec={{
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": {mode!r},
        "resources": {{"requests": {{"storage": "1Gi"}}}},
    }},
    opts=options(),
)
"""


def test_an_immutable_field_replaces_the_object(project: Project):
    project.write(
        NAMESPACE + workload() + job() + config_map("settings", {"a": "1"}) + volume_claim("Filesystem")
    )
    project.up()
    before = project.resources()
    project.write(
        NAMESPACE
        + workload(label="other")
        + job(image="busybox:2")
        + config_map("settings", {"a": "2"})
        + volume_claim("Block")
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


def custom_resource(group: str) -> str:
    return f"""
schema = {{
    "type": "object",
    "properties": {{"spec": {{"type": "object", "properties": {{"size": {{"type": "integer"}}}}}}}},
}}
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "definition",
    metadata={{"name": "pools.{group}"}},
    spec={{
        "group": {group!r},
        "scope": "Cluster",
        "names": {{"kind": "Pool", "plural": "pools", "singular": "pool"}},
        "versions": [
            {{"name": "v1", "served": True, "storage": True, "schema": {{"openAPIV3Schema": schema}}}}
        ],
    }},
    opts=options(),
)
pool = k8s.apiextensions.CustomResource(
    "pool",
    api_version="{group}/v1",
    kind="Pool",
    # The garbage collector looks for new kinds every 30 s; until then a foreground deletion waits for it.
    metadata={{"name": "pool", "annotations": {{"pulumi.com/deletionPropagationPolicy": "background"}}}},
    spec={{"size": config.get_int("size") or 1}},
    opts=options(depends_on=[definition]),
)
"""


def test_a_custom_resource_waits_for_its_definition_in_the_same_update(project: Project):
    group = f"{project.namespace}.example.com"
    project.write(custom_resource(group))
    project.succeed("preview")
    project.up()
    assert project.resources()["pool"]["id"] == "pool"
    assert project.steps() == {}
    project.succeed("config", "set", "size", "2")
    assert project.steps() == {"pool": "update"}
    project.up()
    assert project.kubectl("get", f"pools.{group}", "pool", "--output", "jsonpath={.spec.size}") == "2"
    project.succeed("destroy", "--yes", "--skip-preview")


def test_deletion_waits_and_names_the_finalizer_that_holds_the_object(project: Project):
    held = config_map(
        "held",
        {},
        metadata='{"name": "held", "finalizers": ["example.com/hold"]}',
        options='custom_timeouts=pulumi.CustomTimeouts(delete="2s")',
    )
    project.write(NAMESPACE + held)
    project.up()
    output = project.fail("destroy", "--yes", "--skip-preview")
    assert "still exists, not gone within 2 s; held by finalizer example.com/hold" in output
    assert project.exists("configmap", "held")
    release = '{"metadata": {"finalizers": null}}'
    project.kubectl("patch", "configmap", "held", "--type", "merge", "--patch", release)
    project.succeed("destroy", "--yes", "--skip-preview")
    assert not project.exists("configmap", "held")


def test_an_existing_object_is_not_taken_over_but_can_be_imported(project: Project):
    project.write(NAMESPACE)
    project.up()
    project.kubectl("create", "configmap", "theirs", "--from-literal", "a=1")
    named = '{"name": "theirs"}'
    project.write(NAMESPACE + config_map("theirs", {"a": "1"}, metadata=named))
    assert 'configmaps "theirs" already exists' in project.fail("up", "--yes", "--skip-preview")
    importing = f'import_="{project.namespace}/theirs"'
    project.write(NAMESPACE + config_map("theirs", {"a": "1"}, metadata=named, options=importing))
    project.up()
    assert project.steps() == {}
    assert project.resources()["theirs"]["id"] == f"{project.namespace}/theirs"

"""Secret values under the real CLI: what is on disk, what is shown, and what the pack makes of the marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.pulumi.project import Project

pytestmark = pytest.mark.cluster

PACK = str(Path(__file__).resolve().parents[3] / "policies")

TOKEN = f"ghp_{'aB3' * 12}"

PROGRAM = """
space = k8s.core.v1.Namespace("space", metadata={{"name": namespace}}, opts=options())
k8s.core.v1.Secret(
    "hub-token",
    metadata={{"name": "hub-token", "namespace": namespace}},
    string_data={{"token": {value}}},
    opts=options(depends_on=[space]),
)
pulumi.export("token", {output})
"""

READ = 'config.require_secret("token")'
"""A program's way to a secret value: it stays marked wherever it goes."""

PEELED = 'config.require("token")'
"""The same without its mark, as Pulumi allows. What a Secret holds is marked again by the Kubernetes SDK."""


def on_disk(project: Project) -> str:
    """Everything that Pulumi wrote for this project: its folder and its state."""
    backend = Path(project.variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    files = [
        path
        for folder in (project.folder, backend)
        for path in folder.rglob("*")
        if path.is_file() and project.folder.name in str(path) and path.suffix != ".py"
    ]
    assert files
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def test_a_passphrase_encrypts_and_only_the_same_one_decrypts(project: Project):
    project.succeed("config", "set", "--secret", "token", TOKEN)
    file = (project.folder / "Pulumi.test.yaml").read_text(encoding="utf-8")
    assert "secure: v1:" in file
    assert TOKEN not in on_disk(project)
    assert TOKEN not in project.succeed("config")
    assert project.succeed("config", "get", "token").strip() == TOKEN
    project.variables["PULUMI_CONFIG_PASSPHRASE"] = "another"
    refused = project.fail("config", "get", "token")
    assert "incorrect passphrase" in refused
    assert TOKEN not in refused


def test_another_passphrase_takes_over(project: Project):
    project.succeed("config", "set", "--secret", "token", TOKEN)
    before = (project.folder / "Pulumi.test.yaml").read_text(encoding="utf-8")
    project.variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(project.folder / "passphrase")
    (project.folder / "passphrase").write_text("local", encoding="utf-8")
    del project.variables["PULUMI_CONFIG_PASSPHRASE"]
    assert project.succeed("config", "get", "token").strip() == TOKEN
    assert (project.folder / "Pulumi.test.yaml").read_text(encoding="utf-8") == before


def test_a_marked_secret_is_nowhere_readable_but_in_the_cluster(project: Project):
    project.succeed("config", "set", "--secret", "token", TOKEN)
    project.write(PROGRAM.format(value=READ, output=READ))
    shown = project.succeed("up", "--yes", "--policy-pack", PACK)
    assert "[secret]" in shown
    assert TOKEN not in shown + on_disk(project) + project.succeed("stack", "output")
    assert TOKEN not in project.succeed("stack", "export")
    assert project.kubectl("get", "secret", "hub-token", "--output", "name").strip() == "secret/hub-token"
    assert project.succeed("stack", "output", "token", "--show-secrets").strip() == TOKEN


def test_what_a_secret_holds_is_marked_by_the_sdk_and_what_is_exported_is_not(project: Project):
    project.succeed("config", "set", "--secret", "token", TOKEN)
    project.write(PROGRAM.format(value=PEELED, output='"none"'))
    assert TOKEN not in project.succeed("preview", "--diff", "--policy-pack", PACK)
    project.write(PROGRAM.format(value=READ, output=PEELED))
    refused = project.fail("preview", "--policy-pack", PACK)
    assert "stack: the output token looks like a token of GitHub" in refused


def test_a_mark_does_not_excuse_a_credential_that_every_reader_of_the_object_sees(project: Project):
    project.succeed("config", "set", "--secret", "token", TOKEN)
    project.write(
        f"""
k8s.core.v1.ConfigMap(
    "settings",
    metadata={{"name": "settings", "namespace": "default"}},
    data={{"token": {READ}}},
    opts=options(),
)
"""
    )
    refused = project.fail("preview", "--policy-pack", PACK)
    assert "ConfigMap/default/settings: data.token looks like a token of GitHub" in refused
    assert "Pulumi secret or not" in refused
    assert TOKEN not in refused


@pytest.mark.parametrize("provider", ["kms://key", "azurekeyvault://vault"])
def test_what_is_no_provider_creates_no_stack(project: Project, provider: str):
    refused = project.fail("stack", "init", "other", "--secrets-provider", provider)
    assert "unknown secrets provider type" in refused or "must match" in refused
    assert not (project.folder / "Pulumi.other.yaml").exists()

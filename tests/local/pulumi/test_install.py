from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from local.pulumi import install
from local.pulumi.install import Folders, InstallationError, prepare

OFFICIAL = "#!/bin/sh\nexit 0\n"


def executable(path: Path, text: str = OFFICIAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """No Pulumi of this machine is seen: neither on PATH nor in the home folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")


@pytest.fixture
def folders(tmp_path) -> Folders:
    return Folders(tmp_path / "home", tmp_path / "backend", tmp_path / "bin")


def plugin_folder(home: Path) -> Path:
    return home / "plugins" / "resource-kubernetes-v4.34.2"


def failing_cli(path: Path) -> Path:
    """A CLI that notes each call beside itself, then fails as a download without network does."""
    return executable(
        path,
        f'#!/bin/sh\necho "$@" >> {path.parent}/calls\n'
        'echo "error: failed to download plugin: kubernetes-4.34.2: failed all 5 attempts" >&2\nexit 1\n',
    )


def test_where_nothing_official_is_found_or_downloaded_the_stand_ins_are_used(tmp_path, folders):
    pulumi = failing_cli(tmp_path / "tools" / "pulumi")
    installation = prepare(pulumi, folders)
    assert (installation.language_host, installation.kubernetes_plugin) == ("stand-in", "stand-in")
    assert "could not be downloaded: kubernetes-4.34.2: failed all 5 attempts" in installation.lines()[1]
    assert installation.pulumi == folders.home / "bin" / "pulumi"
    assert installation.pulumi.read_text() == pulumi.read_text()
    for launcher in (
        folders.home / "bin" / "pulumi-language-python",
        plugin_folder(folders.home) / "pulumi-resource-kubernetes",
    ):
        assert os.access(launcher, os.X_OK)
    assert (folders.binaries / "pulumi").resolve() == installation.pulumi


def test_a_failed_download_is_not_tried_again(tmp_path, folders):
    pulumi = failing_cli(tmp_path / "tools" / "pulumi")
    first, second = prepare(pulumi, folders), prepare(pulumi, folders)
    assert first == second
    calls = (
        (folders.home / "bin" / "calls")
        if (folders.home / "bin" / "calls").exists()
        else tmp_path / "tools" / "calls"
    )
    assert calls.read_text().splitlines() == ["plugin install resource kubernetes 4.34.2"]


def test_the_link_that_make_env_puts_on_the_path_can_be_given_again(tmp_path, folders):
    prepare(failing_cli(tmp_path / "tools" / "pulumi"), folders)
    again = prepare(folders.binaries / "pulumi", folders)
    assert again.language_host == "stand-in"
    assert (folders.binaries / "pulumi").resolve() == again.pulumi


@pytest.mark.parametrize("place", ["tools", "path"])
def test_an_official_language_host_is_used(tmp_path, folders, place):
    pulumi = failing_cli(tmp_path / "tools" / "pulumi")
    executable(tmp_path / place / "pulumi-language-python")
    installation = prepare(pulumi, folders)
    assert installation.language_host == "official"
    assert installation.pulumi == pulumi
    assert not (folders.home / "bin").exists()


def test_an_official_plugin_of_the_user_is_used(tmp_path, folders):
    executable(plugin_folder(tmp_path / "user" / ".pulumi") / "pulumi-resource-kubernetes")
    installation = prepare(failing_cli(tmp_path / "tools" / "pulumi"), folders)
    assert installation.kubernetes_plugin == "official"
    assert (plugin_folder(folders.home) / "pulumi-resource-kubernetes").read_text() == OFFICIAL


def test_an_official_plugin_that_can_be_downloaded_is_used_instead_of_an_older_stand_in(tmp_path, folders):
    prepare(failing_cli(tmp_path / "tools" / "pulumi"), folders)
    (folders.home / "download-failed.json").unlink()
    target = plugin_folder(folders.home)
    downloading = executable(
        tmp_path / "new" / "pulumi",
        f"#!/bin/sh\nPATH=/usr/bin:/bin\nmkdir -p {target}\nprintf x > {target}/pulumi-resource-kubernetes\n",
    )
    installation = prepare(downloading, folders)
    assert installation.kubernetes_plugin == "official"
    assert (target / "pulumi-resource-kubernetes").read_text() == "x"


def test_what_is_no_program_is_refused(tmp_path, folders):
    with pytest.raises(InstallationError, match="not an executable file"):
        prepare(tmp_path / "missing", folders)


def test_a_launcher_works_from_folders_with_spaces(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "ROOT", tmp_path / "a checkout")
    module = tmp_path / "a checkout" / "hello" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    module.with_name("__main__.py").write_text("import sys; print(sys.argv[1:])")
    launcher = tmp_path / "some where" / "launcher"
    install._write_launcher(launcher, "hello")
    done = subprocess.run([str(launcher), "one two"], capture_output=True, text=True, check=True)
    assert done.stdout == "['one two']\n"


def test_the_environment_names_the_checkouts_own_folders(folders):
    variables = install.environment(folders)
    assert variables["PULUMI_HOME"] == str(folders.home)
    assert variables["PULUMI_BACKEND_URL"] == folders.backend.as_uri()

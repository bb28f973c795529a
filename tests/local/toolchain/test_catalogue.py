from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from infra.kubernetes_version import LOCAL_RELEASE, KubernetesVersion
from local.toolchain.catalogue import FOLDER, Tool, load

TOOLS = load()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_version_of_a_tool_is_the_one_its_module_requires(tool: Tool) -> None:
    required = re.search(rf"{re.escape(tool.requires)} v(\S+)", (tool.module.folder / "go.mod").read_text())
    assert required is not None
    assert required[1] == tool.version


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_module_pins_its_program_and_hashes(tool: Tool) -> None:
    module = (tool.module.folder / "go.mod").read_text()
    assert tool.package in module.replace("\t", " ")
    assert (tool.module.folder / "go.sum").stat().st_size > 0
    # A replacement by a folder would not be reproducible on another machine.
    assert not re.search(r"=>\s*[./]", module)


def test_a_release_is_only_listed_with_checksums() -> None:
    for tool in TOOLS:
        if tool.release is not None:
            assert tool.fill(tool.release.url).startswith("https://")
            assert tool.fill(tool.release.checksums).startswith("https://")


def test_the_cache_key_follows_everything_that_changes_the_binary(tmp_path: Path) -> None:
    def keys(go_version: str) -> dict[str, str]:
        return {tool.name: tool.key(go_version) for tool in load(tmp_path / "tools.toml")}

    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    before = keys("go1.26.8")
    assert before == {tool.name: tool.key("go1.26.8") for tool in TOOLS}
    assert all(key != before[name] for name, key in keys("go1.26.9").items())

    with (tmp_path / "etcd" / "go.sum").open("a") as file:
        file.write("changed\n")
    after = keys("go1.26.8")
    assert {name for name in before if before[name] != after[name]} == {"etcd"}

    catalogue = tmp_path / "tools.toml"
    catalogue.write_text(catalogue.read_text().replace("127.0.0.1:%d", "127.0.0.2:%d"))
    assert keys("go1.26.8")["karpenter-kwok"] != after["karpenter-kwok"]


def test_the_local_cluster_has_the_release_that_is_planned_for():
    (server,) = [tool for tool in TOOLS if tool.name == "kube-apiserver"]
    assert server.version.startswith(f"{LOCAL_RELEASE}.")
    following = KubernetesVersion(LOCAL_RELEASE.major, LOCAL_RELEASE.minor + 1)
    assert server.accepts == f">={LOCAL_RELEASE},<{following}"

"""A fresh clone and the CLI alone: `pulumi install`, `pulumi preview`, the policy pack. No make.

The environment that Pulumi.yaml names has the packages already, so `pulumi install` finds every pin of the
lock file satisfied and asks no index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from stacks.load import PROJECT, STACKS
from tests.local.pulumi.project import Project
from tests.local.pulumi.virtualenv import make_environment

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.pulumi.install import Folders

ROOT = STACKS.parent


def options(file: Path) -> dict[str, str]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))["runtime"]["options"]


def test_the_program_and_its_pack_share_the_environment_that_make_fills():
    (made,) = re.findall(r"^VENV := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for file in (ROOT / "Pulumi.yaml", ROOT / "policies" / "PulumiPolicy.yaml"):
        chosen = options(file)
        assert chosen["toolchain"] == "pip"
        # The host joins the path to the folder of the file that names it.
        assert Path(os.path.normpath(file.parent / chosen["virtualenv"])) == ROOT / made


@pytest.mark.parametrize("folder", [ROOT, ROOT / "policies"], ids=lambda folder: folder.name)
def test_pulumi_install_reads_the_lock_file(folder: Path):
    # The official host reads this name only, in this folder.
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (included,) = [line.removeprefix("-r ") for line in lines if not line.startswith("#")]
    assert (folder / included).samefile(ROOT / "requirements.lock")


@pytest.fixture
def clone(cluster: Cluster, stand_ins: tuple[Path, Folders], tmp_path: Path) -> Project:
    """The files of this checkout that git knows or would add, in another folder.

    Nothing is prepared but the environment's packages and what `make up` wrote for the running cluster.
    """
    from local.pulumi.install import PASSPHRASE
    from local.token import ensure_key

    folder = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    make_environment(folder / ".venv")
    ensure_key()
    (folder / ".local").symlink_to(cluster.state)
    pulumi, folders = stand_ins
    backend = tmp_path / "state"
    backend.mkdir()
    variables = {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(pulumi.parent), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PULUMI_HOME": str(folders.home),
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    return Project(folder, pulumi, variables, cluster)


@pytest.mark.cluster
def test_a_fresh_clone_is_installed_previewed_and_judged(clone: Project):
    clone.succeed("stack", "init", "local")
    installed = clone.succeed("install")
    assert "Requirement already satisfied: pulumi-kubernetes==" in installed
    output = clone.succeed("preview", "--stack", "local", "--policy-pack", "policies")
    assert re.search(rf"{PROJECT}@v[\d.]+ \(local: policies\)", output)
    assert "chat-deployment" in output
    # The files of the clone have run, not those beside the stand-in.
    assert list(clone.folder.glob("stacks/__pycache__/load.*.pyc"))
    assert list(clone.folder.glob("policies/__pycache__/pack.*.pyc"))

    shutil.move(clone.folder / ".venv", clone.folder / "elsewhere")
    assert "run `pulumi install`" in clone.fail("preview", "--stack", "local")


@pytest.mark.cluster
def test_a_fork_may_have_another_name(clone: Project):
    for file in (clone.folder / "Pulumi.yaml", clone.folder / "stacks" / "Pulumi.local.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            re.sub(rf"^(name: |  ){PROJECT}\b", r"\1our-models", text, flags=re.MULTILINE), encoding="utf-8"
        )
        assert "our-models" in file.read_text(encoding="utf-8")
    clone.succeed("stack", "init", "local")
    assert "chat-deployment" in clone.succeed("preview", "--stack", "local")

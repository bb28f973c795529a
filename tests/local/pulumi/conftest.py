"""The real Pulumi CLI with the stand-ins."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.local.pulumi.project import Project

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.pulumi.install import Folders
    from local.toolchain.obtain import Toolchain

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def stand_ins(cluster: Cluster, toolchain: Toolchain) -> tuple[Path, Folders]:
    """The CLI with both stand-ins beside it, in folders apart from the test cluster's own."""
    from local.pulumi.install import Folders, prepare

    root = cluster.state / "stand-ins"
    folders = Folders(root / "home", root / "backend", root / "bin")
    return prepare(toolchain.path("pulumi"), folders, prefer="stand-in").pulumi, folders


@pytest.fixture
def project(cluster: Cluster, stand_ins: tuple[Path, Folders], tmp_path: Path) -> Iterator[Project]:
    """A project whose stack exists and holds nothing. Its namespace is deleted after the test, unawaited;
    what a test registers elsewhere it destroys itself."""
    from local.pulumi.install import environment

    pulumi, folders = stand_ins
    name = f"{tmp_path.name.replace('_', '-')[:40].rstrip('-')}-{os.getpid()}-{next(_NUMBERS)}"
    folder = tmp_path / name
    folder.mkdir()
    folder.joinpath("Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
    made = Project(folder, pulumi, {**os.environ, **environment(folders)}, cluster)
    made.succeed("stack", "init", "test")
    yield made
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    shutil.rmtree(folder)

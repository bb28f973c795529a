from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from stacks.commands.base import IMAGES, Base, RevisionError


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write_images(root: Path, tag: str, digest: str | None) -> None:
    path = root / IMAGES
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"repository": "example/engine", "tag": tag, "digest": digest}
    path.write_text(yaml.safe_dump({"rows": {"engine": row}}), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "stacks").mkdir()
    for name in ("Pulumi.a.yaml", "Pulumi.b.yaml", "schema.json", "load.py"):
        (tmp_path / "stacks" / name).write_text('{"version": 1}')
    write_images(tmp_path, "v1", None)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "base")
    return tmp_path


def test_what_the_base_has(root: Path):
    (root / "stacks" / "Pulumi.a.yaml").unlink()
    base = Base.at(root, "main")
    assert base.stacks() == ["a", "b"]
    assert base.stack_file("a") == b'{"version": 1}'
    assert base.stack_file("c") is None
    assert list(base.notes()) == []


def test_an_image_that_changes_is_named_with_both_versions(root: Path):
    write_images(root, "v2", f"sha256:{'a' * 64}")
    # Twelve digits of the digest tell it from any other.
    assert list(Base.at(root, "main").notes()) == [
        f"Images, of every stack: `engine` `v1` → `v2@sha256:{'a' * 12}`."
    ]


def test_data_that_every_plan_rests_on_is_named(root: Path):
    for index in range(7):
        path = root / "sizing" / f"{index}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("rows")
    git(root, "add", "-A")
    (note,) = Base.at(root, "main").notes()
    assert "both sides are planned with the new one" in note
    named = ", ".join(f"`sizing/{index}.yaml`" for index in range(5))
    assert note.endswith(f": {named} and 2 more.")


@pytest.mark.parametrize("revision", ["nowhere", "--help", "-x", ""])
def test_what_is_no_revision(root: Path, revision: str):
    with pytest.raises(RevisionError, match="git knows no revision"):
        Base.at(root, revision)

"""What is shipped into a Job: every file of the program, and nothing that a bare Python image lacks."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.job_program import JobProgram, fingerprint
from serving.verify import job as verify
from serving.weights import job as staging

PROGRAMS = pytest.mark.parametrize("program", [staging.PROGRAM, verify.PROGRAM], ids=["stager", "verifier"])


def test_every_file_of_the_package_is_in_the_volume_under_its_name(tmp_path: Path):
    package = tmp_path / "asker"
    package.mkdir()
    for name in ("__main__.py", "answers.py"):
        (package / name).write_text(f"# {name}\n", encoding="utf-8")
    program = JobProgram(package, "/work")
    assert program.files == {"__main__.py": "# __main__.py\n", "answers.py": "# answers.py\n"}
    volume: Any = program.volume("asker-1")
    assert volume.config_map.name == "asker-1"
    assert [(item.key, item.path) for item in volume.config_map.items] == [
        ("__main__.py", "asker/__main__.py"),
        ("answers.py", "asker/answers.py"),
    ]
    mount: Any = program.mount()
    assert (mount.name, mount.mount_path, mount.read_only) == (volume.name, "/work", True)
    assert program.command == ["python", "-m", "asker"]


@PROGRAMS
def test_nothing_lies_in_a_folder_that_would_not_be_shipped(program: JobProgram):
    found = {path.relative_to(program.package).as_posix() for path in program.package.rglob("*.py")}
    assert found == set(program.files)


@PROGRAMS
def test_it_imports_the_standard_library_and_itself(program: JobProgram):
    for name, text in program.files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [str(node.module)]
            elif isinstance(node, ast.ImportFrom):
                assert f"{node.module}.py" in program.files, f"{name}: {node.module}"
                continue
            else:
                continue
            for module in modules:
                assert module.partition(".")[0] in sys.stdlib_module_names, f"{name}: {module}"


def test_a_fingerprint_is_that_of_its_content():
    assert fingerprint({"a": "b"}) == fingerprint({"a": "b"}) != fingerprint({"a": "c"})
    assert len(fingerprint([])) == 10

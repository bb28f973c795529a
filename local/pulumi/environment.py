"""The virtual environment that `runtime.options` of Pulumi.yaml names: which Python, and how it is filled.

As in the official host (sdk/python/toolchain/pip.go of Pulumi 3.260) its path is relative to the folder of
the project file, and requirements.txt is the one of the program's folder.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class EnvironmentFailure(RuntimeError):
    """The environment is missing, not supported or cannot be filled; the message says what to do."""


def python_of(info: Any) -> Path | None:
    """The interpreter of the project's environment; None where this process may run the program itself.

    `info` is the ProgramInfo of a request. Raises EnvironmentFailure if there is no such environment.
    """
    folder = _folder(info)
    if folder is None or folder.resolve() == Path(sys.prefix).resolve():
        return None
    python = folder / "bin" / "python"
    if not python.is_file() or not any(folder.glob("lib/python*/site-packages/pulumi")):
        raise EnvironmentFailure(
            f'virtualenv "{info.options["virtualenv"]}" of {info.root_directory}: {folder} has no Python '
            "with the package pulumi: run `pulumi install`"
        )
    return python


def install(info: Any) -> Iterator[str]:
    """Makes the project's environment if it is missing, installs requirements.txt, passes on what pip says.

    Without a virtualenv option the packages go where this interpreter looks for them. Raises
    EnvironmentFailure.
    """
    folder = _folder(info)
    python = Path(sys.executable)
    if folder is not None:
        python = folder / "bin" / "python"
        if not python.is_file():
            yield f"Creating virtual environment in {folder}\n"
            yield from _run([sys.executable, "-m", "venv", str(folder)], info.program_directory)
    if Path(info.program_directory, "requirements.txt").is_file():
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
        yield from _run([*command, "-r", "requirements.txt"], info.program_directory)


def _folder(info: Any) -> Path | None:
    options = dict(info.options)
    toolchain = options.get("toolchain", "pip")
    if toolchain != "pip":
        raise EnvironmentFailure(
            f'toolchain "{toolchain}" of {info.root_directory}: the local stand-in for the Python language '
            'host knows "pip" only; put the official pulumi-language-python on PATH'
        )
    virtualenv = options.get("virtualenv")
    return Path(info.root_directory, str(virtualenv)) if virtualenv else None


def _run(command: list[str], folder: str) -> Iterator[str]:
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode != 0:
        raise EnvironmentFailure(f"`{' '.join(command)}` failed: its output above says why")

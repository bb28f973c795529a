"""Obtains the toolchain: PATH first, then the project's release, then a build; cached for every checkout."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from rich.console import Console

from local.paths import TOOL_CACHE
from local.toolchain import sources
from local.toolchain.catalogue import Tool, load
from local.toolchain.progress import ToolProgress
from local.toolchain.sources import ReleaseSites, ToolFailure

MINIMUM_GO = (1, 26)
"""Kubernetes 1.36 and Karpenter 1.14 do not compile with an older one."""

PARALLEL_MODULES = 2
"""A Go build keeps several cores busy by itself except while it links or downloads; a second one fills those
gaps. More would only compete for memory (linking the API server takes 1.5 GiB)."""

Origin = Literal["PATH", "cache", "release", "build"]


@dataclass(frozen=True)
class ObtainedTool:
    name: str
    version: str
    path: Path
    origin: Origin


@dataclass(frozen=True)
class Toolchain:
    tools: tuple[ObtainedTool, ...]

    def path(self, name: str) -> Path:
        return next(tool.path for tool in self.tools if tool.name == name)


def obtain(console: Console, tools: tuple[Tool, ...] | None = None) -> Toolchain:
    """Every tool of the catalogue, ready to run.

    Raises ToolFailure if one could neither be found nor downloaded nor built.
    """
    wanted = load() if tools is None else tools
    go_version = _go_version()
    sites = ReleaseSites()
    with ToolProgress(console, wanted) as progress, ThreadPoolExecutor(PARALLEL_MODULES) as pool:

        def obtain_module(of_module: list[Tool]) -> list[ObtainedTool]:
            return [_obtain_tool(tool, go_version, sites, progress) for tool in of_module]

        # Tools of one module share most of their packages: one after the other they compile them once.
        modules = [list(group) for _, group in groupby(wanted, key=lambda tool: tool.module.name)]
        obtained = [tool for group in pool.map(obtain_module, modules) for tool in group]
    return Toolchain(tuple(obtained))


def _obtain_tool(
    tool: Tool, go_version: str | None, sites: ReleaseSites, progress: ToolProgress
) -> ObtainedTool:
    found = sources.on_path(tool)
    if found is not None:
        return ObtainedTool(tool.name, tool.version, found, "PATH")
    home = TOOL_CACHE / "tools" / tool.key(go_version or "none")
    with _locked(home):
        if (home / tool.name).exists():
            return ObtainedTool(tool.name, tool.version, home / tool.name, "cache")
        # Filled beside its final place and renamed: an interrupted build never looks like a tool.
        filling = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
        try:
            origin = _fill(tool, filling, go_version, sites, progress)
            filling.rename(home)
        finally:
            shutil.rmtree(filling, ignore_errors=True)
    return ObtainedTool(tool.name, tool.version, home / tool.name, origin)


def _fill(
    tool: Tool, folder: Path, go_version: str | None, sites: ReleaseSites, progress: ToolProgress
) -> Origin:
    if tool.release is not None and sites.reachable(tool.fill(tool.release.url)):
        progress.started(tool, "downloading")
        try:
            sources.download(tool, tool.release, folder)
        except ToolFailure:
            # A half-open network is common behind proxies; the pinned module gives the same program.
            progress.finished(tool, "release not available")
            for file in folder.iterdir():
                file.unlink()
        else:
            progress.finished(tool, "downloaded")
            return "release"
    if go_version is None:
        raise ToolFailure(
            f"{tool.name} {tool.version}: not on PATH, its release cannot be downloaded here, and a build "
            f"needs Go >= {MINIMUM_GO[0]}.{MINIMUM_GO[1]}, which is not installed (https://go.dev/doc/install)"
        )
    _require_go(go_version)
    logs = TOOL_CACHE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    progress.started(tool, "building")
    sources.build(tool, folder, logs / f"{tool.name}.log", tick=lambda: progress.running(tool))
    progress.finished(tool, "built")
    return "build"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Two checkouts that start at once build a tool once: the second waits and finds it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(home.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go_version() -> str | None:
    try:
        answer = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _require_go(version: str) -> None:
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < MINIMUM_GO:
        raise ToolFailure(
            f"Go {version} is too old to build the local cluster: {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer "
            "is needed (https://go.dev/doc/install)"
        )

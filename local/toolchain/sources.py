"""The three ways to obtain a tool: a binary on PATH, the project's release, a build of the pinned module."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from local.paths import BIN, PULUMI_HOME
from local.toolchain.catalogue import GoModule, Release, Tool

DOWNLOADS_VARIABLE = "LLM_PLATFORM_DOWNLOADS"
"""Set to `off` to build every tool although release sites could be reached."""

REACH_SECONDS = 3.0
"""How long one release site may take to accept a connection before it counts as unreachable. A closed network
often drops packets silently, and that wait is paid once per site."""


class ToolFailure(Exception):
    """A tool could not be obtained; the text names it, the command and the end of its log."""


def on_path(tool: Tool) -> Path | None:
    """A binary of a fitting version on PATH, outside the cluster's own folders."""
    if tool.accepts is None:
        return None
    own = {BIN.resolve(), (PULUMI_HOME / "bin").resolve()}
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and Path(f).resolve() not in own]
    found = shutil.which(tool.name, path=os.pathsep.join(folders))
    if found is None:
        return None
    try:
        answer = subprocess.run(
            [found, *tool.version_arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"v?(\d+\.\d+\.\d+[\w.+-]*)", answer.stdout)
    try:
        fits = version is not None and Version(version[1]) in SpecifierSet(tool.accepts)
    except InvalidVersion:
        return None
    return Path(found) if fits else None


class ReleaseSites:
    """Which download sites answer; each is tried once for all tools."""

    def __init__(self) -> None:
        self._reachable: dict[str, bool] = {}
        self._lock = threading.Lock()

    def reachable(self, url: str) -> bool:
        if os.environ.get(DOWNLOADS_VARIABLE) == "off":
            return False
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        with self._lock:
            if host not in self._reachable:
                try:
                    socket.create_connection((host, port), timeout=REACH_SECONDS).close()
                except OSError:
                    self._reachable[host] = False
                else:
                    self._reachable[host] = True
            return self._reachable[host]


def download(tool: Tool, release: Release, folder: Path) -> None:
    """Puts the released program into `folder`, verified by the project's published SHA-256.

    Raises ToolFailure if the download fails or its sum does not agree.
    """
    url = tool.fill(release.url)
    try:
        with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30.0)) as client:
            sums = client.get(tool.fill(release.checksums)).raise_for_status().text
            archive = folder / Path(urlsplit(url).path).name
            digest = hashlib.sha256()
            with client.stream("GET", url) as answer, archive.open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
    except (httpx.HTTPError, OSError) as error:
        raise ToolFailure(f"{tool.name}: download of {url} failed: {error}") from error
    if published_sum(sums, archive.name) != digest.hexdigest():
        raise ToolFailure(f"{tool.name}: SHA-256 of {url} does not agree with the published one")
    if release.member is None:
        archive.rename(folder / tool.name)
    else:
        with tarfile.open(archive) as tar:
            for member in (tool.fill(release.member), *release.beside):
                _extract(tar, member, folder)
        archive.unlink()
    for file in folder.iterdir():
        file.chmod(0o755)


def published_sum(sums: str, name: str) -> str | None:
    """The SHA-256 of `name` in a checksum file: `<sum>  <name>` lines, or one bare sum."""
    for line in sums.splitlines():
        fields = line.split()
        if len(fields) == 1 or (len(fields) == 2 and fields[1].lstrip("*").rsplit("/", 1)[-1] == name):
            return fields[0].lower()
    return None


def _extract(tar: tarfile.TarFile, member: str, folder: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise ToolFailure(f"{member} is missing in {tar.name!s}")
    with source, (folder / Path(member).name).open("wb") as target:
        shutil.copyfileobj(source, target)


def build(tool: Tool, folder: Path, log: Path, tick: Callable[[], None]) -> None:
    """Builds the pinned module's program into `folder`; calls `tick` about once a second meanwhile.

    Raises ToolFailure with the command and the end of its log.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            command = ["go", "build", "-trimpath", "-ldflags", " ".join(map(tool.fill, tool.module.ldflags))]
            if tool.module.tags:
                command += ["-tags", ",".join(tool.module.tags)]
            if tool.module.edits:
                command += ["-modfile", str(_patched_modules(tool.module, Path(scratch)))]
            command += ["-o", str(folder / tool.name), tool.package]
            _run(command, tool.module.folder, log, tick)
        for kept in tool.module.keep:
            source = _module_folder(tool.module, kept.module) / kept.path
            (folder / kept.name).mkdir(exist_ok=True)
            for file in source.iterdir():
                if file.is_file() and (not kept.files or file.name in kept.files):
                    shutil.copyfile(file, folder / kept.name / file.name)
    except subprocess.CalledProcessError as error:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else error.stderr
        raise ToolFailure(
            f"{tool.name} {tool.version}: build failed with exit status {error.returncode}\n"
            f"  in {tool.module.folder}\n  $ {' '.join(map(str, error.cmd))}\n{tail}\n  whole log: {log}"
        ) from error


def _go_environment() -> dict[str, str]:
    """The user's environment, with what decides about the build set here.

    GOWORK off: a go.work somewhere above the checkout would change the pinned versions. GOTOOLCHAIN auto: a
    module that needs a newer Go than the installed one names it in go.mod, and Go fetches and verifies it.
    """
    chosen = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GOTOOLCHAIN": "auto"}
    return {**os.environ, **chosen}


def _run(command: list[str], folder: Path, log: Path, tick: Callable[[], None]) -> None:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=_go_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        while True:
            try:
                status = process.wait(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                tick()
    if status != 0:
        raise subprocess.CalledProcessError(status, command)


def _patched_modules(module: GoModule, folder: Path) -> Path:
    """A go.mod that takes edited copies of some modules: Go refuses to overlay files of its module cache."""
    modfile = folder / "go.mod"
    shutil.copyfile(module.folder / "go.sum", folder / "go.sum")
    lines = [(module.folder / "go.mod").read_text()]
    for edit in module.edits:
        copy = folder / "edited" / edit.module
        if not copy.exists():
            shutil.copytree(_module_folder(module, edit.module), copy, copy_function=shutil.copyfile)
            lines.append(f"replace {edit.module} => {copy}\n")
        source = copy / edit.path
        text = source.read_text()
        if edit.before not in text:
            raise ToolFailure(
                f"{edit.module}/{edit.path}: {edit.before!r} is not there any more; "
                f"adapt `edits` of {module.name} in tools.toml"
            )
        source.chmod(0o644)
        source.write_text(text.replace(edit.before, edit.after))
    modfile.write_text("\n".join(lines))
    return modfile


def _module_folder(module: GoModule, name: str) -> Path:
    # `go mod download` first: `go list -m` alone leaves Dir empty while the module is not in the cache.
    _go_answer(module, "mod", "download", name)
    return Path(_go_answer(module, "list", "-m", "-f", "{{.Dir}}", name).strip())


def _go_answer(module: GoModule, *arguments: str) -> str:
    return subprocess.run(
        ["go", *arguments],
        cwd=module.folder,
        env=_go_environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout

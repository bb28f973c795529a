"""Container images by what they are for; data/images.yaml pins them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sizing.choices import UnknownNameError
from sizing.tables import read_table

TABLE = Path(__file__).parent / "data" / "images.yaml"


@dataclass(frozen=True)
class Unresolved:
    """Why a row has no digest yet, and until when that may be so: a waiver for everywhere but the clouds.

    expires: its last day. From the next day on `make check` refuses the image as well.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    reason: str
    expires: date


@dataclass(frozen=True)
class Image:
    """One image. digest: None where none is known yet; the tag alone is weaker, it can be moved.

    waiver: there exactly as long as the digest is not.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    repository: str
    tag: str
    digest: str | None
    as_of: date
    source: str
    waiver: Unresolved | None = None

    def __post_init__(self) -> None:
        if (self.digest is None) == (self.waiver is None):
            raise ValueError(
                f"images.yaml: {self.name}: a row has either a digest or a waiver with reason and last day, "
                "never both and never none"
            )

    @property
    def reference(self) -> str:
        """What a container's `image` field says."""
        tagged = f"{self.repository}:{self.tag}"
        return tagged if self.digest is None else f"{tagged}@{self.digest}"


IMAGES = read_table(TABLE, Image)


def image(name: str) -> Image:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return IMAGES[name]
    except KeyError:
        raise UnknownNameError("image", name, IMAGES) from None

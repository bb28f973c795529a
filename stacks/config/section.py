"""What every section of a stack file is built from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LONGEST_NAME = 40
"""Kubernetes allows 63 and itself adds suffixes of up to 23 to the names of pods and machines."""

NAME_RULE = f"a DNS label of at most {LONGEST_NAME} characters: a-z, 0-9 and -, starting with a letter"

Name = Annotated[
    str,
    Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=LONGEST_NAME, description=NAME_RULE),
]

Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Way = tuple[str | int, ...]
"""Steps to a part of a section: names of fields, keys, and places in a list."""


class Section(BaseModel, frozen=True):
    """Base of every object in a stack file: unknown keys are refused, nothing is coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def without_effect(self) -> Iterator[tuple[Way, str]]:
        """What other fields of this section leave without effect, each with the reason."""
        yield from ()

"""What every section of a stack file is built from."""

from __future__ import annotations

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


class Section(BaseModel, frozen=True):
    """Base of every object in a stack file: unknown keys are refused, nothing is coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True)

"""Exceptions from a rule that somebody has written down: what is excused, why, and until when."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field


class Waiver(BaseModel):
    """One exception, part of a rule's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: str = Field(
        min_length=1,
        description="what is excused, as the report names it: Kind/namespace/name; * and ? match anything",
    )
    reason: str = Field(min_length=10, description="why the rule may be broken here, for the next reader")
    expires: date = Field(description="last day on which the waiver holds, such as 2027-01-31")

    def covers(self, identity: str) -> bool:
        return fnmatchcase(identity, self.resource)

    def expired(self, today: date) -> bool:
        return today > self.expires

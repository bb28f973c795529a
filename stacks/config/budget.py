"""`budget`, `price_overrides` and `tags`: what the environment may cost, and whom it is charged to."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from stacks.config.effect import NoEffectYet
from stacks.config.section import Section

DEFAULT_UTILIZATION = 0.5
"""Share of the tokens a replica could serve that it does serve over a month, for the price of a token.
Traffic has nights and peaks: at 100 % the price would be half of what anybody pays."""


class Budget(Section, frozen=True):
    """What the environment may cost."""

    monthly_usd: float = Field(
        ge=0, allow_inf_nan=False, description="US dollars per month of 730 hours, at least 0"
    )
    if_maximum_exceeds: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="what happens when the autoscalers may spend more than monthly_usd: refuse or warn",
    )
    utilization: float = Field(
        default=DEFAULT_UTILIZATION,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="share of a replica's throughput in use over a month, above 0 to 1; the price of a "
        "million tokens rests on it",
    )


def _day(value: object) -> object:
    """YAML reads an unquoted day as a date, Pulumi hands it over as text."""
    if isinstance(value, str) and not isinstance(value, datetime):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return value
    return value


class PriceOverride(Section, frozen=True):
    """A price that replaces a row of sizing/hardware/data/prices.<cloud>.json, such as a negotiated one."""

    machine_type: str = Field(
        description="a row of machines.<cloud>.yaml or system_machines.yaml in sizing/hardware/data"
    )
    usd_per_hour: float = Field(
        gt=0, le=1000, allow_inf_nan=False, description="US dollars per hour for the whole machine, above 0"
    )
    spot_usd_per_hour: (
        Annotated[
            float,
            Field(gt=0, le=1000, allow_inf_nan=False, description="US dollars per hour as spot, above 0"),
        ]
        | None
    ) = Field(default=None, description="US dollars per hour as spot, above 0; left out, it is not known")
    as_of: Annotated[date, BeforeValidator(_day)] = Field(description="the day of the price, as 2026-11-24")
    source: str = Field(
        min_length=1,
        description="where the price comes from",
        json_schema_extra=NoEffectYet("a note for readers of the file; the plan does not show it"),
    )


TAG = r"^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$"
"""What AWS tags, Google Cloud labels and Kubernetes labels all allow."""

TAG_RULE = "1 to 63 characters: a-z, 0-9, - and _, starting and ending with a letter or digit"
TagKey = Annotated[str, Field(pattern=TAG, description=TAG_RULE)]
TagValue = Annotated[str, Field(pattern=TAG, description=TAG_RULE)]

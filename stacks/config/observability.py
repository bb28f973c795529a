"""`observability`: how long metrics are kept, and which burn-rate alerts watch the service levels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stacks.config.effect import NoEffectYet
from stacks.config.section import Section


class BurnRateAlert(Section, frozen=True):
    """Fires when the error budget of a service level is spent `factor` times too fast in both windows."""

    factor: float = Field(
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="how many times faster than even over slo_window_days the budget is spent, above 0",
    )
    long_minutes: int = Field(ge=2, le=100_000, description="long window in minutes: enough has happened")
    short_minutes: int = Field(ge=1, le=100_000, description="short window in minutes: it still happens")
    severity: Literal["page", "ticket"] = Field(description="page wakes somebody, ticket waits for the day")


SRE_WORKBOOK = (
    BurnRateAlert(factor=14.4, long_minutes=60, short_minutes=5, severity="page"),
    BurnRateAlert(factor=6, long_minutes=360, short_minutes=30, severity="page"),
    BurnRateAlert(factor=3, long_minutes=1440, short_minutes=120, severity="ticket"),
    BurnRateAlert(factor=1, long_minutes=4320, short_minutes=360, severity="ticket"),
)
"""2 % of a 30-day budget in an hour, 5 % in six, 10 % in a day, 10 % in three days: Google's SRE workbook,
chapter 5, with the ticket at a day that sloth and kubernetes-mixin add."""


NO_ALERTS = NoEffectYet("no alerts on service levels are made yet")


class Observability(Section, frozen=True):
    """What is kept and what is alerted on."""

    metrics_retention_days: int = Field(
        default=15,
        ge=1,
        le=400,
        description="days that Prometheus keeps metrics, 1 to 400",
        json_schema_extra=NoEffectYet("Prometheus is not installed by this stack, and keeps its own setting"),
    )
    slo_window_days: int = Field(
        default=30,
        ge=1,
        le=90,
        description="days over which an error budget is counted, 1 to 90",
        json_schema_extra=NO_ALERTS,
    )
    burn_rate_alerts: tuple[BurnRateAlert, ...] = Field(
        default=SRE_WORKBOOK,
        strict=False,
        description="alerts on the speed at which error budgets are spent; left out, those of Google's SRE "
        "workbook",
        json_schema_extra=NO_ALERTS,
    )

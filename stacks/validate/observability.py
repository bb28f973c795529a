"""Rules of `observability`, and of the service levels that its alerts watch."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config import Model, Observability
from stacks.problems import Problem

MINUTES_PER_DAY = 24 * 60


def check_observability(observability: Observability) -> Iterator[Problem]:
    kept = observability.metrics_retention_days * MINUTES_PER_DAY
    for index, alert in enumerate(observability.burn_rate_alerts):
        path = f"observability.burn_rate_alerts[{index}]"
        if alert.short_minutes >= alert.long_minutes:
            yield Problem(
                f"{path}.short_minutes",
                f"{alert.short_minutes} is not below long_minutes {alert.long_minutes}: the short window "
                "says that the trouble goes on. A twelfth of the long one is usual",
            )
        if alert.long_minutes > kept:
            yield Problem(
                f"{path}.long_minutes",
                f"{alert.long_minutes} is more than is kept: raise metrics_retention_days "
                f"({observability.metrics_retention_days}) to {-(-alert.long_minutes // MINUTES_PER_DAY)}",
            )


def check_burn_rates(path: str, model: Model, observability: Observability) -> Iterator[Problem]:
    """Objectives so low that an alert on the speed of spending their error budget could never fire.

    A burn rate is the share of failing requests over 1 - objective. It never exceeds 1 / (1 - objective), so
    an alert at `factor` needs factor x (1 - objective) < 1.
    """
    objectives = {
        f"{path}.slo.ttft.objective": model.slo.ttft.objective,
    }
    if model.slo.itl is not None:
        objectives[f"{path}.slo.itl.objective"] = model.slo.itl.objective
    objectives[f"{path}.slo.availability"] = model.slo.availability
    if not observability.burn_rate_alerts:
        return
    fastest = max(alert.factor for alert in observability.burn_rate_alerts)
    for place, objective in objectives.items():
        if fastest * (1 - objective) >= 1:
            # Rounded up: the bound itself is not enough.
            needed = int((1 - 1 / fastest) * 1000) / 1000 + 0.001
            yield Problem(
                place,
                f"{objective:g} is too low for the burn-rate alert with factor {fastest:g}: it would need "
                f"{fastest * (1 - objective):.0%} of requests to fail, so it could never fire. Raise it to "
                f"at least {needed:.3f}, or leave that factor out of observability.burn_rate_alerts",
            )

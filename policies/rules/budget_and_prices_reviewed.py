"""COST-001-ADVICE: what the bill rests on is worth a look: old prices, an excess that the budget allows."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.node_pools import NodePool, node_pools
from policies.objects import Resource
from policies.rule import Report, Rule, Settings
from policies.spending import STACK, UnboundedError, most, over_budget, priced_machines, stack_budget
from sizing.hardware.prices.table import MAX_AGE


class Cost001AdviceSettings(Settings):
    max_price_age_days: int = Field(
        default=MAX_AGE.days, ge=0, description="days after which a price is reported as old"
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(STACK, ""), *((pool.identity, pool.owner.urn) for pool in node_pools(resources))]


def judge(resources: Sequence[Resource], settings: Cost001AdviceSettings, report: Report) -> None:
    pools = node_pools(resources)
    for pool in pools:
        with report.judging(pool.identity, pool.owner.urn) as violation:
            for message in _old_prices(pool, settings, report):
                violation(message)
    budget = stack_budget()
    if budget is None or budget.if_maximum_exceeds == "refuse":
        return
    with report.judging(STACK, "") as violation:
        try:
            excess = over_budget([most(pool) for pool in pools], budget.monthly_usd)
        except UnboundedError:
            # COST-001 reports it.
            return
        if excess is not None:
            violation(f"{excess}, which if_maximum_exceeds allows")


def _old_prices(pool: NodePool, settings: Cost001AdviceSettings, report: Report) -> list[str]:
    try:
        machines = priced_machines(pool)
    except UnboundedError:
        return []
    days = {machine.name: (report.today - machine.as_of).days for machine in machines}
    return [
        f"the price of {machine.name} is {days[machine.name]} days old ({machine.as_of}): renew it with "
        "`make refresh-prices`"
        for machine in machines
        if days[machine.name] > settings.max_price_age_days
    ]


RULE = Rule(
    id="COST-001-ADVICE",
    description="Prices are recent, and an excess that the budget allows is known.",
    remediation="Renew prices with `make refresh-prices`, or put what you pay into price_overrides.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    scope="stack",
    settings=Cost001AdviceSettings,
    subjects=subjects,
    judge=judge,
)

"""COST-001: what the node autoscalers may spend stays within the budget."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.node_pools import node_pools
from policies.objects import Resource
from policies.rule import Report, Rule, Settings
from policies.spending import STACK, Spending, UnboundedError, most, over_budget, stack_budget
from sizing.cost import HOURS_PER_MONTH


class Cost001Settings(Settings):
    usd_per_hour: float | None = Field(
        default=None, ge=0, description="budget in US dollars per hour; goes before the stack's own"
    )
    usd_per_month: float | None = Field(
        default=None, ge=0, description="budget in US dollars per month of 730 hours, likewise"
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(STACK, ""), *((pool.identity, pool.owner.urn) for pool in node_pools(resources))]


def judge(resources: Sequence[Resource], settings: Cost001Settings, report: Report) -> None:
    spent: list[Spending] = []
    for pool in node_pools(resources):
        with report.judging(pool.identity, pool.owner.urn) as violation:
            try:
                spent.append(most(pool))
            except UnboundedError as error:
                violation(str(error))
    for monthly_usd in _budgets(settings):
        excess = over_budget(spent, monthly_usd)
        if excess is not None:
            report.violation(STACK, "", f"{excess}: lower max_nodes, or raise the budget")


def _budgets(settings: Cost001Settings) -> list[float]:
    """Budgets per month that must hold; none if nobody has set one, or it only warns."""
    if settings.usd_per_hour is not None or settings.usd_per_month is not None:
        hourly = () if settings.usd_per_hour is None else (settings.usd_per_hour * HOURS_PER_MONTH,)
        monthly = () if settings.usd_per_month is None else (settings.usd_per_month,)
        return [*hourly, *monthly]
    budget = stack_budget()
    return [] if budget is None or budget.if_maximum_exceeds == "warn" else [budget.monthly_usd]


RULE = Rule(
    id="COST-001",
    description="What node autoscalers may reach has a limit, and the limit is within the budget.",
    remediation="Lower max_nodes of a pool, choose cheaper machines, or raise budget.monthly_usd in the "
    "stack file. `make plan STACK=...` shows what each part costs.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Cost001Settings,
    subjects=subjects,
    judge=judge,
)

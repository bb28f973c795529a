"""What a plan is reminded of, and what it is refused for: age of prices, region, budget, doubtful fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from infra.kubernetes_version import CONFIGURABLE_TOLERANCE, has_configurable_tolerance
from serving.engines import ENGINES
from sizing.cost import HOURS_PER_MONTH
from sizing.hardware.kubernetes_releases import ENDS_SOON, releases_of
from sizing.hardware.machines import REFERENCE_REGIONS, SHAPES, SPOT_NOTICE_SECONDS
from sizing.hardware.prices.table import MAX_AGE, is_old
from stacks.plan.catalogue import OVERRIDDEN
from stacks.plan.costs import CONTROL_PLANE_AND_NAT
from stacks.plan.figures import Plan, PriceSource
from stacks.problems import Problem


def warnings(plan: Plan, today: date) -> list[str]:
    """What does not stop an update but should be known, one line each."""
    return [
        *_old_prices(plan, today),
        *_other_region(plan),
        *_spot(plan),
        *_budget_warnings(plan),
        *_kubernetes(plan, today),
        *_tolerance(plan),
        *_spot_notice(plan),
        *(f"{model.name}: {warning}" for model in plan.models for warning in model.fit.warnings),
    ]


def refusals(plan: Plan) -> list[Problem]:
    """Why this plan must not become real, if so."""
    budget = plan.budget
    maximum = plan.usd_per_hour.per_month.maximum
    if budget is None or maximum <= budget.monthly_usd or budget.if_maximum_exceeds == "warn":
        return []
    return [
        Problem(
            "budget.monthly_usd",
            f"{budget.monthly_usd:g} is less than the {maximum:.0f} $/month that the autoscalers may reach: "
            f"lower replicas.max or max_nodes ({_dearest(plan)}), raise the budget, or accept it with "
            "budget.if_maximum_exceeds: warn",
        )
    ]


def _dearest(plan: Plan) -> str:
    pool = max(plan.pools, key=lambda pool: pool.usd_per_hour.maximum)
    usd = pool.usd_per_hour.maximum * HOURS_PER_MONTH
    return f"most of it is {pool.machines.maximum:.0f} machines of pool {pool.name}, {usd:.0f} $/month"


def _old_prices(plan: Plan, today: date) -> Iterator[str]:
    old = [price for price in plan.prices if is_old(price.as_of, today)]
    if not old:
        return
    age = (today - min(price.as_of for price in old)).days
    names = ", ".join(dict.fromkeys(f"{price.what} of {price.as_of.isoformat()}" for price in old))
    yield (f"prices are up to {age} days old, more than {MAX_AGE.days}: {names}. {_to_renew(plan, old)}")


def _other_region(plan: Plan) -> Iterator[str]:
    if plan.region is None:
        return
    other = [price for price in plan.prices if price.region not in (plan.region, OVERRIDDEN)]
    if other:
        names = ", ".join(dict.fromkeys(f"{price.what} ({price.region})" for price in other))
        yield (
            f"the cluster is in {plan.region}, but these prices are of another region: {names}. "
            f"{_to_renew(plan, other)}"
        )


def _to_renew(plan: Plan, prices: list[PriceSource]) -> str:
    """What renews these prices: a command asks for those of machines, the others are read by hand."""
    ways = []
    if any(price.what != CONTROL_PLANE_AND_NAT for price in prices):
        command = (
            "make refresh-prices"
            if plan.region is None or plan.region in REFERENCE_REGIONS.values()
            else f"python -m sizing.hardware.prices --cloud {plan.provider} --region {plan.region}"
        )
        ways.append(f"Renew them with `{command}`, or state your own under price_overrides")
    if any(price.what == CONTROL_PLANE_AND_NAT for price in prices):
        ways.append(f"Those of {CONTROL_PLANE_AND_NAT} are in sizing/hardware/data/clusters.yaml")
    return ". ".join(ways)


def _spot(plan: Plan) -> Iterator[str]:
    for machine in dict.fromkeys(plan.spot_without_price):
        yield f"{machine}: no spot price is known; its on-demand price, the most it can cost, stands in"


def _spot_notice(plan: Plan) -> Iterator[str]:
    """Replies that a machine's notice does not leave the time for."""
    for model in plan.models:
        notice = SPOT_NOTICE_SECONDS[SHAPES[model.machine].cloud]
        drain = model.replica.drain_seconds
        grace = ENGINES[model.engine].grace_seconds(model.replica)
        if "spot" in model.pool.capacity and grace > notice:
            left = notice - (grace - drain)
            cure = f"Set drain_seconds to {left} or less" if left > 0 else "Shorter replies alone do not help"
            yield (
                f"{model.name}: a spot machine is gone {notice} s after its notice, and a replica may take "
                f"{grace} s to leave (drain_seconds {drain}): replies with more than {max(left, 0)} s "
                f"to go are cut off. {cure}, or remove spot from capacity of {model.pool.name}"
            )


def _kubernetes(plan: Plan, today: date) -> Iterator[str]:
    """The release's support, of a cluster that the stack buys."""
    if plan.region is None or plan.kubernetes is None:
        return
    offered = releases_of(SHAPES[plan.pools[0].machine].cloud)
    support = None if offered is None else offered.releases.get(str(plan.kubernetes))
    if offered is None or support is None:
        return
    version = f"cluster.version {plan.kubernetes}"
    extended = offered.extended_support_usd_per_hour
    dearer = f"the control plane then costs {extended:.2f} $/h, {extended * HOURS_PER_MONTH:.0f} $/month"
    if today > support.extended_until:
        yield f"{version}: support ended on {support.extended_until}; the cloud upgrades it by itself"
    elif today > support.standard_until:
        yield (
            f"{version} is in extended support since {support.standard_until}: {dearer}, which these figures "
            f"leave out. Upgrade, one release at a time; the newest is {max(offered.releases)}"
        )
    elif today > support.standard_until - ENDS_SOON:
        yield (
            f"{version}: standard support ends on {support.standard_until}, in "
            f"{(support.standard_until - today).days} days; {dearer}. The newest is {max(offered.releases)}"
        )


REPLICAS_WITHIN_TOLERANCE = 10
"""From so many replicas on one more is within the 10 % that an HPA does not act on by default."""


def _tolerance(plan: Plan) -> Iterator[str]:
    if has_configurable_tolerance(plan.kubernetes):
        return
    large = [model.name for model in plan.models if model.replicas_max > REPLICAS_WITHIN_TOLERANCE]
    if large:
        known = "unknown" if plan.kubernetes is None else str(plan.kubernetes)
        yield (
            f"{', '.join(large)}: above {REPLICAS_WITHIN_TOLERANCE} replicas the HPA ignores a wish for 10 % "
            f"more, so a hot spare is not started. Its tolerance can be set from Kubernetes "
            f"{CONFIGURABLE_TOLERANCE} on; this cluster's version is {known}"
        )


def _budget_warnings(plan: Plan) -> Iterator[str]:
    if plan.budget is None:
        return
    limit, month = plan.budget.monthly_usd, plan.usd_per_hour.per_month
    if month.expected > limit:
        yield f"{month.expected:.0f} $/month under expected_load is above budget.monthly_usd {limit:g}"
    if month.maximum > limit and plan.budget.if_maximum_exceeds == "warn":
        yield (
            f"{month.maximum:.0f} $/month, which the autoscalers may reach, is above budget.monthly_usd "
            f"{limit:g}"
        )

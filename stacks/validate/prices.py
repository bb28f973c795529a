"""Rules of `price_overrides`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sizing.choices import valid_choices
from sizing.hardware.machines import SHAPES, SYSTEM_SHAPES, UNPRICED, Cloud, why_unpriced
from sizing.hardware.regions import regions_of
from stacks.config import Stack
from stacks.plan.catalogue import price_region
from stacks.problems import Problem
from stacks.validate.names import duplicates


def check_prices(stack: Stack) -> Iterator[Problem]:
    names = [override.machine_type for override in stack.price_overrides]
    yield from duplicates("price_overrides", names, key=".machine_type")
    for index, override in enumerate(stack.price_overrides):
        path = f"price_overrides[{index}]"
        known = [*SHAPES, *SYSTEM_SHAPES]
        if override.machine_type not in known:
            choices = valid_choices(override.machine_type, known)
            yield Problem(f"{path}.machine_type", f'"{override.machine_type}" is unknown: {choices}')
        spot = override.spot_usd_per_hour
        if spot is not None and spot > override.usd_per_hour:
            yield Problem(
                f"{path}.spot_usd_per_hour",
                f"{spot:g} is above usd_per_hour {override.usd_per_hour:g}: spot never costs more than on "
                "demand. Correct one of them",
            )


def unpriced(name: str, cloud: Cloud, stack: Stack, others: Iterable[str]) -> str | None:
    """Why a machine type has no price where the cluster is, and what to do; None if it has one.

    others: machine types that would do instead; those with a price are named.
    """
    region = price_region(stack.cluster, cloud)
    if region not in regions_of(cloud).regions:
        return None  # the region has a problem of its own
    reason = why_unpriced(name, cloud, region)
    if reason is None or name in {override.machine_type for override in stack.price_overrides}:
        return None
    priced = [other for other in others if why_unpriced(other, cloud, region) is None]
    ways = ["give it under price_overrides"]
    if name not in UNPRICED:
        ways.append(f"ask for it with `python -m sizing.hardware.prices --cloud {cloud} --region {region}`")
    if priced:
        ways.append(f"choose one of {', '.join(priced)}")
    return f'"{name}" has no known price in {region} ({reason}): {", or ".join(ways)}'

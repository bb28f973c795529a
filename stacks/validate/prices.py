"""Rules of `price_overrides`."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.choices import valid_choices
from sizing.hardware.machines import SHAPES, SYSTEM_MACHINES
from stacks.config import Stack
from stacks.problems import Problem
from stacks.validate.names import duplicates


def check_prices(stack: Stack) -> Iterator[Problem]:
    names = [override.machine_type for override in stack.price_overrides]
    yield from duplicates("price_overrides", names, key=".machine_type")
    for index, override in enumerate(stack.price_overrides):
        path = f"price_overrides[{index}]"
        known = [*SHAPES, *SYSTEM_MACHINES]
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

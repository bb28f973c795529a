"""Runs in the cluster after everything else: does the platform answer as its users will ask?

Standard library only, so that any Python image runs it. Its module settings says what it reads. Prints one
line for each check that holds. If any does not, prints only those, one line each with the object to look at,
and exits with 1.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from .answers import check_answer
from .autoscaler import check_autoscaler, check_trigger
from .failed import Failed
from .gateway import Gateway
from .listing import check_listed
from .prometheus import Prometheus
from .refusals import GARBAGE_TOKEN, UNKNOWN_MODEL, check_metrics, check_stranger, check_unknown_model
from .settings import Model, Settings, read

PAUSE_SECONDS = 1


@dataclass(frozen=True)
class Check:
    """What is checked, and for how many seconds after the start a failure may be repeated."""

    run: Callable[[], str]
    patience_seconds: int


def main() -> int:
    try:
        settings = read(os.environ)
    except Failed as failure:
        print(failure, file=sys.stderr, flush=True)
        return 1
    began = time.monotonic()
    passed: list[str] = []
    failed: list[str] = []
    for check in checks(settings):
        try:
            passed.append(repeat(check.run, began + check.patience_seconds))
        except Failed as failure:
            failed.append(str(failure))
    for line in failed or passed:
        print(line, file=sys.stderr if failed else sys.stdout, flush=True)
    return 1 if failed else 0


def checks(settings: Settings) -> Iterator[Check]:
    """Every check, models first: what is wrong with them explains most of what is wrong elsewhere."""
    gateway = Gateway(settings.gateway, settings.service, settings.token_file)
    prometheus = Prometheus(settings.prometheus)
    for model in settings.models:
        waking = model.startup_seconds if model.when_asleep == "wake" else 0
        yield Check(partial(check_model, gateway, prometheus, model), settings.seconds + waking)
        for trigger in model.triggers:
            yield Check(partial(check_trigger, prometheus, model, trigger), settings.seconds)
        if model.triggers:
            yield Check(partial(check_autoscaler, prometheus, model), settings.seconds)
    asked = settings.models[0].asked_as if settings.models else UNKNOWN_MODEL
    for run in (
        partial(check_stranger, gateway, asked, None),
        partial(check_stranger, gateway, asked, GARBAGE_TOKEN),
        partial(check_unknown_model, gateway),
        partial(check_metrics, gateway),
    ):
        yield Check(run, settings.seconds)


def check_model(gateway: Gateway, prometheus: Prometheus, model: Model) -> str:
    """A model that sleeps is left asleep, unless it is to be woken: then the request does that."""
    if model.when_asleep == "report" and prometheus.asleep(model):
        return f"model {model.name}: asleep, with 0 replicas; not asked"
    answered = check_answer(gateway, model)
    return answered if model.listed_at is None else f"{answered}; {check_listed(model, model.listed_at)}"


def repeat(check: Callable[[], str], deadline: float) -> str:
    """Repeats a failing check until the deadline, once at least. Raises Failed with the last reason."""
    while True:
        try:
            return check()
        except Failed:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

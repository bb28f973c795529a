from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.config import BurnRateAlert, Observability
from stacks.load import parse
from stacks.validate.observability import check_burn_rates
from tests.stacks.environments import local_values
from tests.stacks.validate.test_cluster import problems


def alert(**changes: Any) -> dict[str, Any]:
    return {"factor": 14.4, "long_minutes": 60, "short_minutes": 5, "severity": "page", **changes}


def observed(**section: Any) -> dict[str, Any]:
    return {**local_values(), "observability": section}


# Factors need an objective above 1 - 1/factor: 14.4 above 93.06 %, 6 above 83.33 %, 3 above 66.67 %.
@pytest.mark.parametrize(
    ("factor", "objective", "count"),
    [
        (14.4, 0.93, 1),
        (14.4, 0.931, 0),
        (6, 0.83, 1),
        (6, 0.834, 0),
        (3, 0.66, 1),
        (3, 0.667, 0),
        (1, 0.01, 0),
    ],
)
def test_an_alert_that_could_never_fire(factor: float, objective: float, count: int):
    values = observed(burn_rate_alerts=[alert(factor=factor)])
    values["models"][0]["slo"]["ttft"]["objective"] = objective
    found = problems(values)
    assert len(found) == count
    for line in found:
        assert line.startswith(
            f"models[0].slo.ttft.objective: {objective:g} is too low for the burn-rate alert"
        )


def test_every_objective_is_watched():
    values = local_values()
    slo = values["models"][0]["slo"]
    slo["ttft"]["objective"] = slo["itl"]["objective"] = slo["availability"] = 0.9
    paths = [line.partition(":")[0] for line in problems(values)]
    assert paths == [
        "models[0].slo.ttft.objective", "models[0].slo.itl.objective", "models[0].slo.availability"
    ]  # fmt: skip


def test_without_alerts_any_objective_will_do():
    values = observed(burn_rate_alerts=[])
    values["models"][0]["slo"]["ttft"]["objective"] = 0.5
    assert problems(values) == []


@given(factor=st.floats(1.01, 1000), objective=st.floats(0.01, 0.999))
def test_the_objective_that_is_named_would_do(factor: float, objective: float):
    model = parse(local_values(), origin="test").models[0]
    watched = Observability(
        burn_rate_alerts=(BurnRateAlert(factor=factor, long_minutes=60, short_minutes=5, severity="page"),)
    )

    def with_objective(value: float) -> list[str]:
        slo = model.slo.model_copy(update={"ttft": model.slo.ttft.model_copy(update={"objective": value})})
        found = check_burn_rates("models[0]", model.model_copy(update={"slo": slo}), watched)
        return [str(problem) for problem in found if "ttft" in problem.path]

    for line in with_objective(objective):
        named = float(line.partition("at least ")[2].partition(",")[0])
        if named < 1:
            assert with_objective(named) == []


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            {"burn_rate_alerts": [alert(short_minutes=60)]},
            "observability.burn_rate_alerts[0].short_minutes: 60 is not below long_minutes 60",
        ),
        (
            {"metrics_retention_days": 2},
            "observability.burn_rate_alerts[3].long_minutes: 4320 is more than is kept: raise "
            "metrics_retention_days (2) to 3",
        ),
        (
            {"burn_rate_alerts": [alert(severity="email")]},
            'observability.burn_rate_alerts[0].severity: "email" is not allowed',
        ),
        ({"metrics_retention_days": 0}, "observability.metrics_retention_days: 0 must be at least 1"),
        ({"slo_window_days": 0}, "observability.slo_window_days: 0 must be at least 1"),
        ({"retention": 3}, "observability.retention: unknown key"),
    ],
)
def test_one_mistake_is_one_line(section: dict[str, Any], expected: str):
    (line,) = problems(observed(**section))
    assert expected in line

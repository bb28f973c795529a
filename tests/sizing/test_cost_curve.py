"""Every expected number is counted by hand in the test."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.cost import Purchase
from sizing.cost_curve import RATES, AtRate, Curve, Served, curve, replicas_for
from sizing.hardware.machines import machine

# Four L4 to a machine, 4 $/h.
FOUR = replace(machine("g6.12xlarge"), price_per_hour_usd=4.0, spot_price_per_hour_usd=None)
POOL = Purchase(
    machines=(FOUR,),
    capacity={("on-demand",): 10},
    min_nodes=0,
    max_nodes=10,
    warm_nodes=0,
    disk_usd_per_hour=0.0,
)
MODEL = Served(
    planned_rate=0.8, gpus=1, minimum=1, maximum=100, spares=0, prompt_tokens=1000, output_tokens=200
)


def at(rate: float, model: Served = MODEL, pool: Purchase = POOL) -> AtRate | None:
    ((_, point),) = curve(model, pool, [rate]).points
    return point


def found(rate: float, model: Served = MODEL, pool: Purchase = POOL) -> AtRate:
    point = at(rate, model, pool)
    assert point is not None
    return point


def test_whole_replicas_on_whole_machines():
    point = found(3.0)
    # 3 / 0.8 = 3.75: four replicas, one machine, 4 $/h. 3 x 3600 x 200 = 2.16 million output tokens an hour,
    # and with 1000 of prompt 12.96 million in all.
    assert (point.replicas, point.machines, point.usd_per_hour) == (4, 1, 4.0)
    assert point.tokens.output_usd == pytest.approx(4 / 2.16)
    assert point.tokens.total_usd == pytest.approx(4 / 12.96)


def test_spares_warm_machines_and_disks_are_paid_for():
    # Four replicas and a spare take a second machine, a third is warm; 0.5 $/h for each disk: 3 x 4.5.
    point = found(3.0, replace(MODEL, spares=1), replace(POOL, warm_nodes=1, disk_usd_per_hour=0.5))
    assert (point.replicas, point.machines, point.usd_per_hour) == (5, 3, 13.5)
    assert point.tokens.output_usd == pytest.approx(13.5 / 2.16)


def test_the_least_replicas_and_machines_are_paid_for_at_any_rate():
    assert found(0.1, replace(MODEL, minimum=6)).usd_per_hour == 8.0  # two machines
    assert found(0.1, pool=replace(POOL, min_nodes=3)).usd_per_hour == 12.0


def test_each_way_of_buying_has_its_price():
    machine = replace(FOUR, spot_price_per_hour_usd=1.0)
    pool = replace(POOL, machines=(machine,), capacity={("spot",): 2, ("on-demand",): 8})
    # 10 / 0.8 = 12.5: 13 replicas, four machines: two of spot, then two on demand.
    assert found(10.0, pool=pool).usd_per_hour == 2 * 1.0 + 2 * 4.0


@pytest.mark.parametrize(
    ("model", "pool", "most"),
    [
        (MODEL, POOL, 32.0),  # 10 machines of 4: 40 replicas of 0.8
        (replace(MODEL, maximum=10), POOL, 8.0),
        (replace(MODEL, maximum=10, spares=2), POOL, 6.4),  # two of the ten are spare
        (replace(MODEL, gpus=2), POOL, 16.0),
        (replace(MODEL, gpus=3), POOL, 8.0),  # one to a machine: the fourth GPU is idle
        (replace(MODEL, maximum=1, spares=1), POOL, 0.0),
        (MODEL, replace(POOL, max_nodes=2, warm_nodes=1), 6.4),  # the last replicas take the warm machine
    ],
)
def test_what_the_bounds_do_not_carry_has_no_price(model: Served, pool: Purchase, most: float):
    assert curve(model, pool).most == pytest.approx(most)
    if most > 0:
        assert at(most * 0.999, model, pool) is not None
    assert at(most + 0.001, model, pool) is None


def test_a_model_that_generates_nothing_has_a_price_of_all_tokens_alone():
    point = found(3.0, replace(MODEL, output_tokens=0))
    assert point.tokens.output_usd is None
    assert point.tokens.total_usd == pytest.approx(4 / 10.8)


def test_the_rates_of_a_plan():
    points = curve(MODEL, POOL).points
    assert [rate for rate, _ in points] == [1.0, 3.0, 10.0, 30.0]
    # 2, 4, 13 and 38 replicas: 1, 1, 4 and 10 machines.
    assert [point.usd_per_hour for _, point in points if point is not None] == [4.0, 4.0, 16.0, 40.0]
    assert RATES == (1.0, 3.0, 10.0, 30.0)


def test_no_machine_for_the_replica():
    with pytest.raises(ValueError, match="no machine type has 8 GPUs"):
        curve(replace(MODEL, gpus=8), POOL)


MODELS = st.builds(
    Served,
    planned_rate=st.floats(0.01, 50),
    gpus=st.sampled_from([1, 2, 4]),
    minimum=st.integers(0, 5),
    maximum=st.integers(5, 60),
    spares=st.integers(0, 3),
    prompt_tokens=st.integers(1, 10000),
    output_tokens=st.integers(0, 2000),
)
POOLS = st.builds(
    lambda nodes, warm, least: replace(
        POOL,
        capacity={("on-demand",): nodes},
        max_nodes=nodes,
        warm_nodes=warm,
        min_nodes=min(least, nodes),
    ),
    nodes=st.integers(1, 20),
    warm=st.integers(0, 3),
    least=st.integers(0, 3),
)


@given(model=MODELS, pool=POOLS, rate=st.floats(0.01, 100))
def test_the_price_is_the_bill_over_the_tokens(model: Served, pool: Purchase, rate: float):
    point = at(rate, model, pool)
    if point is None:
        assert replicas_for(rate, model) > min(model.maximum, pool.max_nodes * (4 // model.gpus))
        return
    assert point.usd_per_hour == pytest.approx(point.machines * 4.0)
    millions = rate * 3600 * (model.prompt_tokens + model.output_tokens) / 1e6
    assert point.tokens.total_usd * millions == pytest.approx(point.machines * 4.0)
    # The replicas that are not spare carry the rate, and their machines hold them.
    assert (point.replicas - model.spares) * model.planned_rate >= rate * (1 - 1e-9)
    assert point.machines * 4 >= point.replicas * model.gpus
    assert point.machines <= pool.max_nodes


@given(model=MODELS, pool=POOLS, rate=st.floats(0.01, 10), times=st.integers(2, 5))
def test_a_multiple_of_the_rate_never_costs_more_per_token(
    model: Served, pool: Purchase, rate: float, times: int
):
    one, more = at(rate, model, pool), at(rate * times, model, pool)
    if one is not None and more is not None and not crosses_by_rounding(rate, times, model):
        assert more.tokens.total_usd <= one.tokens.total_usd * (1 + 1e-9)
        assert more.usd_per_hour >= one.usd_per_hour


def crosses_by_rounding(rate: float, times: int, model: Served) -> bool:
    """Whether the product is rounded up across the capacity of a replica, which costs one more."""
    needed = rate * times / model.planned_rate
    return abs(needed - round(needed)) < 1e-6


@given(model=MODELS, pool=POOLS)
def test_the_most_is_where_prices_end(model: Served, pool: Purchase):
    result: Curve = curve(model, pool, [1.0])
    if result.most > 0:
        assert at(result.most * (1 - 1e-6), model, pool) is not None
    assert at(result.most * (1 + 1e-6) + 1e-6, model, pool) is None

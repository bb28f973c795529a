from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.cost import (
    PoolCost,
    Purchase,
    ReplicaCounts,
    Span,
    always,
    machine_usd,
    nat_usd,
    pool_cost,
    token_price,
    total,
)
from sizing.hardware.cluster_prices import CLUSTER_PRICES
from sizing.hardware.machines import MACHINES, Machine, machine

LEVELS = ("minimum", "expected", "maximum")


def purchase(
    *machines: str, warm: int = 0, minimum: int = 0, maximum: int = 1000, disk: float = 0
) -> Purchase:
    rows = tuple(machine(name) for name in machines)
    return Purchase(rows, {("on-demand",): maximum}, minimum, maximum, warm, disk)


def counts(gpus: int, *replicas: int) -> ReplicaCounts:
    return ReplicaCounts(gpus, *replicas)


@st.composite
def demands(draw: st.DrawFn) -> dict[str, ReplicaCounts]:
    """Up to five models whose replicas grow from minimum to maximum."""
    found = {}
    for index in range(draw(st.integers(1, 5))):
        replicas = sorted(draw(st.lists(st.integers(0, 12), min_size=3, max_size=3)))
        found[f"model-{index}"] = counts(draw(st.sampled_from([1, 2, 4, 8])), *replicas)
    return found


EIGHT = purchase("p5.48xlarge")


@given(demand=demands(), warm=st.integers(0, 3))
def test_never_cheaper_than_the_gpus_that_are_held(demand: dict[str, ReplicaCounts], warm: int):
    cost = pool_cost(replace(EIGHT, warm_nodes=warm), demand)
    per_gpu = cost.machine.price_per_hour_usd / 8
    for level in LEVELS:
        held = getattr(cost.gpus, level)
        assert getattr(cost.usd, level) >= held * per_gpu - 1e-9
        # And by no more than the machines that are not full: sizes that divide one another pack without loss.
        in_use = getattr(cost.machines, level) - getattr(cost.warm_machines, level)
        assert in_use == -(-held // 8)


@given(demand=demands(), name=st.integers(0, 4), level=st.sampled_from(LEVELS))
def test_one_more_replica_never_costs_less(demand: dict[str, ReplicaCounts], name: int, level: str):
    models = sorted(demand)
    grown = models[name % len(models)]
    more = {
        **demand,
        grown: replace(demand[grown], **{level: getattr(demand[grown], level) + 1}),
    }
    before, after = pool_cost(EIGHT, demand), pool_cost(EIGHT, more)
    assert getattr(after.usd, level) >= getattr(before.usd, level)


@given(demand=demands(), warm=st.integers(0, 3), minimum=st.integers(0, 5))
def test_shares_of_models_and_warm_machines_are_the_bill(
    demand: dict[str, ReplicaCounts], warm: int, minimum: int
):
    cost = pool_cost(replace(EIGHT, warm_nodes=warm, min_nodes=minimum), demand)
    for level in LEVELS:
        shares = sum(getattr(share, level) for share in cost.by_model.values())
        bill = getattr(cost.usd, level) - getattr(cost.warm_usd, level)
        # Machines that only min_nodes keeps belong to no model.
        assert shares == pytest.approx(bill if getattr(cost.gpus, level) else 0)


@given(
    demand=demands(),
    nodes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    prices=st.permutations([30.0, 55.04]),
)
def test_a_bill_lies_between_the_cheapest_and_the_most_expensive_way_of_buying(
    demand: dict[str, ReplicaCounts], nodes: list[int], prices: list[float]
):
    row = replace(machine("p5.48xlarge"), price_per_hour_usd=prices[0], spot_price_per_hour_usd=prices[1])
    ways = dict(zip([("reserved",), ("on-demand",), ("spot",)], nodes, strict=False))
    cost = pool_cost(Purchase((row,), ways, 0, sum(nodes), 0, 0), demand)
    for level in LEVELS:
        count, usd = getattr(cost.machines, level), getattr(cost.usd, level)
        assert count * min(prices) - 1e-6 <= usd <= count * max(prices) + 1e-6
    # All that may be bought in the most expensive way is, before any in another.
    dearest = sum(n for kinds, n in ways.items() if machine_usd(row, kinds[0]) == max(prices))
    bought = min(cost.machines.maximum, dearest)
    assert cost.usd.maximum >= bought * max(prices) - 1e-6


@given(demand=demands(), limit=st.integers(1, 6), warm=st.integers(0, 6))
def test_no_more_machines_than_the_pool_may_buy(demand: dict[str, ReplicaCounts], limit: int, warm: int):
    cost = pool_cost(
        replace(EIGHT, max_nodes=limit, warm_nodes=warm, capacity={("on-demand",): limit}), demand
    )
    for level in LEVELS:
        assert 0 <= getattr(cost.warm_machines, level) <= getattr(cost.machines, level) <= limit


@given(demand=demands())
def test_a_dearer_machine_type_raises_the_maximum_only(demand: dict[str, ReplicaCounts]):
    dear = replace(machine("p5.48xlarge"), name="dear", price_per_hour_usd=80.0)
    alone = pool_cost(EIGHT, demand)
    both = pool_cost(replace(EIGHT, machines=(*EIGHT.machines, dear)), demand)
    assert (both.usd.minimum, both.usd.expected) == (alone.usd.minimum, alone.usd.expected)
    assert both.usd.maximum == pytest.approx(alone.usd.maximum / 55.04 * 80.0)


def test_whole_machines_are_paid_for():
    # Two of eight GPUs: the whole machine.
    cost = pool_cost(EIGHT, {"chat": counts(2, 1, 1, 4)})
    assert cost.usd == Span(55.04, 55.04, 55.04)
    assert cost.by_model["chat"] == cost.usd


def test_idle_gpus_are_charged_by_what_each_model_holds():
    cost = pool_cost(EIGHT, {"large": counts(4, 1, 1, 1), "small": counts(1, 1, 1, 1)})
    assert cost.by_model["large"].expected == pytest.approx(55.04 * 4 / 5)
    assert cost.by_model["small"].expected == pytest.approx(55.04 / 5)


def test_a_replica_that_no_machine_holds():
    with pytest.raises(ValueError, match="no machine type has 2 GPUs"):
        pool_cost(purchase("g6.2xlarge"), {"chat": counts(2, 1, 1, 1)})


def spot(row: Machine, usd: float | None) -> Machine:
    return replace(row, spot_price_per_hour_usd=usd)


def test_prices_by_the_way_of_buying():
    row = spot(machine("g6.2xlarge"), 0.4)
    assert machine_usd(row, "spot") == 0.4
    assert machine_usd(row, "reserved") == machine_usd(row, "on-demand") == 0.9776
    # Unknown: the most that it can cost.
    assert machine_usd(spot(row, None), "spot") == 0.9776


def test_the_maximum_is_bought_on_demand_where_that_is_allowed():
    row = spot(machine("g6.2xlarge"), 0.4)
    first = Purchase((row,), {("spot",): 5, ("on-demand",): 5}, 0, 10, 0, 0)
    cost = pool_cost(first, {"chat": counts(1, 1, 2, 3)})
    assert (cost.usd.minimum, cost.usd.expected) == (0.4, 0.8)
    assert cost.usd.maximum == pytest.approx(3 * 0.9776)
    only = pool_cost(replace(first, capacity={("spot",): 10}), {"chat": counts(1, 1, 2, 3)})
    assert only.usd.maximum == pytest.approx(1.2)


def test_beyond_its_share_the_next_way_of_buying_is_paid():
    row = spot(machine("g6.2xlarge"), 0.4)
    purchase = Purchase((row,), {("reserved", "on-demand"): 2, ("spot",): 2}, 0, 4, 1, 0)
    cost = pool_cost(purchase, {"chat": counts(1, 1, 2, 4), "other": counts(1, 0, 0, 0)})
    assert cost.usd.minimum == pytest.approx(2 * 0.9776)
    assert cost.usd.expected == pytest.approx(2 * 0.9776 + 0.4)
    assert cost.usd.maximum == pytest.approx(2 * 0.9776 + 2 * 0.4)
    # The warm machine is one of three, whichever it is.
    assert cost.warm_usd.expected == pytest.approx((2 * 0.9776 + 0.4) / 3)
    assert cost.by_model["chat"].expected == pytest.approx((2 * 0.9776 + 0.4) * 2 / 3)


def test_disks_are_paid_with_every_machine():
    cost = pool_cost(purchase("g6.2xlarge", disk=0.1, warm=1), {"chat": counts(1, 1, 1, 1)})
    assert cost.usd.minimum == pytest.approx(2 * (0.9776 + 0.1))


# Throughput at full load from NVIDIA aiconfigurator's kernel data for vLLM 0.24 (2000 prompt and 300 output
# tokens, 50 ms between tokens), prices of AWS per GPU: what a million output tokens cost.
@pytest.mark.parametrize(
    ("usd_per_hour", "output_tokens_per_second", "expected"),
    [
        (6.88, 3773, 0.51),
        (3.43, 1310, 0.73),
        (1.861, 573, 0.90),
        (3.363, 1631, 0.57),
        (2 * 6.88, 1110, 3.44),
        (7.91, 561, 3.92),
        (14.24, 1613, 2.45),
        (6.88, 4253, 0.45),
        (1.861, 1736, 0.30),
        (6.88, 7700, 0.25),
        (6.88, 2762, 0.69),
        (63.296, 1680, 10.47),
    ],
)
def test_price_of_tokens_against_published_throughput(
    usd_per_hour: float, output_tokens_per_second: float, expected: float
):
    price = token_price(usd_per_hour, output_tokens_per_second / 300, 2000, 300, utilization=1)
    assert price.output_usd is not None
    assert price.output_usd == pytest.approx(expected, abs=0.006)
    assert price.total_usd == pytest.approx(price.output_usd * 300 / 2300)


@given(
    usd=st.floats(0.1, 100),
    rate=st.floats(0.01, 100),
    prompt=st.integers(1, 100_000),
    output=st.integers(1, 10_000),
    utilization=st.floats(0.01, 1),
)
def test_tokens_sold_times_their_price_is_the_bill(
    usd: float, rate: float, prompt: int, output: int, utilization: float
):
    price = token_price(usd, rate, prompt, output, utilization)
    requests = rate * utilization * 3600
    assert price.output_usd is not None
    assert requests * output / 1e6 * price.output_usd == pytest.approx(usd)
    assert requests * (prompt + output) / 1e6 * price.total_usd == pytest.approx(usd)


def test_nat():
    machines = Span(2, 10, 100)
    assert nat_usd(CLUSTER_PRICES["aws"], 3, machines).expected == pytest.approx(0.15)
    google = nat_usd(CLUSTER_PRICES["gcp"], 1, machines)
    # Google charges by machine, up to 32 of them.
    assert google.minimum == pytest.approx(0.005 + 2 * 0.0014)
    assert google.maximum == pytest.approx(0.005 + 32 * 0.0014)


def test_a_month_has_730_hours():
    assert total([always(1), Span(0, 1, 2)]).per_month == Span(730, 1460, 2190)


def test_every_machine_with_a_price_can_be_a_pool():
    for row in MACHINES.values():
        cost: PoolCost = pool_cost(
            Purchase((row,), {("on-demand",): 10}, 0, 10, 0, 0),
            {"chat": counts(row.accelerator_count, 1, 1, 2)},
        )
        assert cost.usd.maximum == pytest.approx(2 * row.price_per_hour_usd)

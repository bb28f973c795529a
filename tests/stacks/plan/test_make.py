from __future__ import annotations

import time
from typing import Any

import pytest

from sizing.hardware.machines import machine
from stacks.load import from_file, parse
from stacks.plan import Plan, make_plan
from stacks.plan.text import remarks
from tests.stacks.environments import aws_values, changed, local_values


def plan_of(values: dict[str, Any]) -> Plan:
    return make_plan(parse(values, origin="test"))


def test_price_is_machines_times_their_price():
    plan = make_plan(from_file("local"))
    l4, large = machine("g6.2xlarge").price_per_hour_usd, machine("g7e.12xlarge").price_per_hour_usd
    assert plan.usd_per_hour.minimum == pytest.approx(l4 + large)
    # chat: 2 requests/s at 0.98 per replica are 3 replicas.
    assert plan.usd_per_hour.expected == pytest.approx(3 * l4 + large)
    assert plan.usd_per_hour.maximum == pytest.approx(5 * l4 + 2 * large)


def test_replicas_share_a_machine_where_they_fit():
    machines = plan_of(changed("node_pools.0.machine_types", ["g6.12xlarge"])).pools[0].machines
    assert (machines.minimum, machines.maximum) == (1, 2)


def test_a_pool_buys_the_cheapest_type_that_holds_its_largest_replica():
    values = changed("node_pools.1.machine_types", ["g7e.48xlarge", "g7e.2xlarge", "g7e.12xlarge"])
    assert plan_of(values).models[1].machine == "g7e.12xlarge"


def test_a_pool_without_models_costs_nothing():
    values = local_values()
    values["models"].pop()
    plan = plan_of(values)
    assert plan.pools[1].machines.maximum == 0
    assert plan.usd_per_hour.maximum == pytest.approx(5 * machine("g6.2xlarge").price_per_hour_usd)


def test_warm_machines_are_paid_for_at_minimum_and_used_at_maximum():
    pool = plan_of(changed("node_pools.0.warm_nodes", 2)).pools[0]
    l4 = machine("g6.2xlarge").price_per_hour_usd
    # One replica and two warm machines; five replicas and room for one more within max_nodes 6.
    assert (pool.machines.minimum, pool.machines.maximum) == (3, 6)
    assert pool.usd_per_hour.minimum == pytest.approx(3 * l4)
    assert pool.warm_usd_per_hour.minimum == pytest.approx(2 * l4)
    assert pool.warm_usd_per_hour.maximum == pytest.approx(l4)


def test_a_machine_with_many_gpus_that_never_empties_shows_what_its_idle_part_costs():
    pool = plan_of(changed("node_pools.0.machine_types", ["g6.48xlarge"])).pools[0]
    price = machine("g6.48xlarge").price_per_hour_usd
    # One replica holds 1 of 8 L4s for ever; the whole machine is charged.
    assert (pool.gpus.minimum, pool.gpus_idle_min) == (1, 7)
    assert pool.usd_per_hour.minimum == pytest.approx(price)
    assert pool.usd_per_hour_idle_min == pytest.approx(price * 7 / 8)


def test_machines_that_are_full_or_warm_count_as_no_idle_part():
    plan = plan_of(changed("node_pools.0.warm_nodes", 1))
    assert [pool.usd_per_hour_idle_min for pool in plan.pools] == [0, 0]


def test_hot_replicas_are_paid_for_without_load_and_on_top_of_it():
    plan = plan_of(changed("models.0.warm_replicas", 2))
    assert (plan.models[0].replicas_min, plan.models[0].replicas_expected) == (2, 5)
    assert plan.pools[0].machines.minimum == 2


def test_a_model_that_may_sleep_costs_nothing_while_it_does():
    plan = plan_of(changed("models.1.replicas.min", 0))
    assert plan.pools[1].usd_per_hour.minimum == 0
    assert plan.models[1].usd_per_hour.minimum == 0


def test_models_and_warm_machines_add_up_to_their_pools():
    for values in (local_values(), aws_values(), changed("node_pools.0.warm_nodes", 1)):
        plan = plan_of(values)
        for pool in plan.pools:
            models = [model for model in plan.models if model.node_pool == pool.name]
            for level in ("minimum", "expected", "maximum"):
                charged = sum(getattr(model.usd_per_hour, level) for model in models)
                warm = getattr(pool.warm_usd_per_hour, level)
                assert charged + warm == pytest.approx(getattr(pool.usd_per_hour, level))
        for level in ("minimum", "expected", "maximum"):
            warm = sum(getattr(pool.warm_usd_per_hour, level) for pool in plan.pools)
            assert getattr(plan.unused_usd_per_hour, level) == pytest.approx(warm, abs=1e-9)
            assert getattr(plan.unused_usd_per_hour, level) >= 0


def test_a_cluster_on_aws_costs_its_control_plane_system_machines_and_nat():
    fixed = {cost.label: cost.usd_per_hour for cost in plan_of(aws_values()).fixed}
    assert fixed["control plane"].expected == pytest.approx(0.10)
    assert fixed["2 x m7i.xlarge for the system"].expected == pytest.approx(2 * 0.2016)
    assert fixed["3 NAT gateways"].maximum == pytest.approx(3 * 0.05)
    one = {**aws_values()["cluster"], "nat_gateways": "one"}
    fixed = {cost.label: cost.usd_per_hour for cost in plan_of({**aws_values(), "cluster": one}).fixed}
    assert fixed["NAT gateway"].maximum == pytest.approx(0.05)


def test_nat_on_google_cloud_follows_the_number_of_machines():
    plan = make_plan(from_file("prod-gcp"))
    nat = next(cost.usd_per_hour for cost in plan.fixed if cost.label.startswith("NAT"))
    machines = sum(pool.machines.expected for pool in plan.pools) + 3
    assert nat.expected == pytest.approx(0.005 + 0.0014 * machines)
    assert nat.minimum < nat.maximum


def test_an_overridden_price_replaces_that_of_the_table():
    override = {
        "machine_type": "g6.2xlarge",
        "usd_per_hour": 0.5,
        "as_of": "2026-11-20",
        "source": "contract",
    }
    plan = plan_of({**local_values(), "price_overrides": [override]})
    assert plan.pools[0].usd_per_machine_hour == 0.5
    assert plan.price_regions == ("price_overrides", "us-east-1")


def test_a_machine_without_a_price_can_be_used_once_it_has_one():
    values = aws_values()
    values["cluster"] = {
        "provider": "gcp", "name": "test", "project": "some-project", "region": "us-central1",
        "release_channel": "regular", "api_allowed_cidrs": [],
        "system_nodes": {"machine_type": "e2-standard-4", "count": 2},
    }  # fmt: skip
    values["node_pools"] = [{**values["node_pools"][1], "machine_types": ["g4-standard-96"], "disk_gib": 500}]
    values["models"] = [values["models"][1]]
    values["price_overrides"] = [
        {"machine_type": "g4-standard-96", "usd_per_hour": 9.0, "as_of": "2026-11-20", "source": "quote"}
    ]
    pool = plan_of(values).pools[0]
    # g4 takes Hyperdisk only: 500 GiB at 0.08 $ per GB and month.
    assert pool.usd_per_machine_hour == pytest.approx(9.0 + 536.87 * 0.08 / 730, abs=1e-4)


def test_the_maximum_takes_the_dearest_machine_that_may_be_bought():
    values = changed("node_pools.0.machine_types", ["g6.2xlarge", "g6.4xlarge"])
    plan = plan_of(values)
    assert plan.pools[0].machine == "g6.2xlarge"
    assert plan.pools[0].usd_per_hour.maximum == pytest.approx(5 * machine("g6.4xlarge").price_per_hour_usd)


def test_the_plan_says_how_max_nodes_is_shared_out():
    plan = plan_of(changed("node_pools.0.capacity", ["on-demand", "spot"]))
    assert plan.pools[0].max_nodes_by_capacity == {"on-demand": 3, "spot": 3}
    (line,) = [line for line in remarks(plan) if "shared out" in line]
    assert line == (
        "l4: max_nodes 6 is shared out: 3 on-demand, then 3 spot; the next once the one before is sold out "
        "or used up. A share is not passed on: without on-demand at most 3, without spot at most 3 nodes"
    )
    pools = plan.exported()["node_pools"]
    assert isinstance(pools, list)
    assert pools[0]["max_nodes_by_capacity"] == {"on-demand": 3, "spot": 3}
    assert pools[1]["max_nodes_by_capacity"] == {"on-demand": 3}


def test_what_is_bought_beyond_the_first_share_has_the_price_of_the_next():
    values = changed("node_pools.0.capacity", ["spot", "on-demand"])
    values["node_pools"][0]["max_nodes"] = 5
    values["models"][0]["expected_load"]["requests_per_second"] = 3.5
    override = {"machine_type": "g6.2xlarge", "usd_per_hour": 1.0, "spot_usd_per_hour": 0.5,
                "as_of": "2026-11-20", "source": "contract"}  # fmt: skip
    pool = plan_of({**values, "price_overrides": [override]}).pools[0]
    # Three spot and two on demand; at most three of whichever costs more.
    assert pool.machines.expected == 4
    assert pool.usd_per_hour.expected == pytest.approx(3 * 0.5 + 1.0)
    assert pool.usd_per_hour.maximum == pytest.approx(2 * 1.0 + 3 * 0.5)


def test_a_capacity_that_the_cluster_does_not_sell_takes_no_share_and_is_said_to_have_no_effect():
    plan = plan_of(changed("node_pools.0.capacity", ["on-demand", "reserved"]))
    assert plan.pools[0].max_nodes_by_capacity == {"on-demand": 6}
    assert "l4: capacity reserved has no effect, this cluster does not sell it" in remarks(plan)
    assert plan.exported()["node_pools"][0]["capacity_not_sold"] == ("reserved",)  # pyright: ignore[reportIndexIssue]


def test_a_replica_that_leaves_most_of_its_machine_idle_is_told_of_a_cheaper_one():
    # AWS sells H100s by one or by eight: two of eight are paid for as eight.
    values = changed("node_pools.1.accelerator", "nvidia-h100-80gb")
    values["node_pools"][1]["machine_types"] = ["p5.48xlarge"]
    model = plan_of(values).models[1]
    assert model.usd_per_hour.expected == pytest.approx(55.04)
    assert model.cheaper is not None
    assert model.cheaper.instead_of_usd_per_hour == pytest.approx(55.04)
    assert model.cheaper.usd_per_hour <= 8.29
    assert machine(model.cheaper.machine).accelerator == "nvidia-rtx-pro-6000-96gb"


def test_the_price_of_tokens_is_the_bill_over_what_is_served():
    plan = make_plan(from_file("local"))
    model = plan.models[0]
    # The planned rate is 80 % of what a replica could serve; half of that is sold.
    rate = model.requests_per_second / 0.8 * 0.5
    assert model.tokens.output_usd is not None
    assert model.tokens.output_usd == pytest.approx(0.9776 / (rate * 3600 * 200) * 1e6)
    assert model.tokens.total_usd == pytest.approx(model.tokens.output_usd * 200 / 1400)


def test_exported_values_are_plain_and_do_not_depend_on_the_day():
    exported = make_plan(from_file("local")).exported()
    assert exported["usd_per_hour"] == {"minimum": 9.2637, "expected": 11.2189, "maximum": 21.4602}
    assert exported["prices_as_of"] == "2026-07-20"
    assert exported == make_plan(from_file("local")).exported()


@pytest.mark.parametrize("name", ["local", "dev", "staging", "prod", "prod-gcp"])
def test_every_shipped_stack_has_a_plan_within_its_budget(name: str):
    stack = from_file(name)
    plan = make_plan(stack)
    assert plan.usd_per_hour.minimum <= plan.usd_per_hour.expected <= plan.usd_per_hour.maximum
    if stack.budget is not None:
        assert plan.usd_per_hour.per_month.expected <= stack.budget.monthly_usd


def test_two_hundred_models_in_seconds():
    values = local_values()
    values["models"] = [
        {
            **values["models"][0],
            "name": f"chat-{index}",
            "expected_load": {
                "requests_per_second": 0.5 + index / 100, "prompt_tokens": 1000 + index, "output_tokens": 200,
            },
        }
        for index in range(200)
    ]  # fmt: skip
    values["node_pools"][0]["max_nodes"] = 1000
    start = time.perf_counter()
    plan = plan_of(values)
    assert len(plan.models) == 200
    # 5 s on a machine of one's own; this one is shared by everything that tests run beside.
    assert time.perf_counter() - start < 15

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from infra.machines import machine
from stacks.load import from_file, parse
from stacks.plan import main, make_plan
from tests.stacks.environments import changed, local_values


def test_price_is_machines_times_their_price():
    plan = make_plan(from_file("local"))
    l4, large = machine("g6.2xlarge").price_per_hour_usd, machine("g7e.12xlarge").price_per_hour_usd
    assert plan.usd_per_hour_min == pytest.approx(l4 + large)
    # chat: 2 requests/s at 0.98 per replica are 3 replicas.
    assert plan.usd_per_hour_expected == pytest.approx(3 * l4 + large)
    assert plan.usd_per_hour_max == pytest.approx(5 * l4 + 2 * large)


def test_replicas_share_a_machine_where_they_fit():
    values = changed("node_pools.0.machine_types", ["g6.12xlarge"])
    plan = make_plan(parse(values, origin="test"))
    assert (plan.pools[0].machines_min, plan.pools[0].machines_max) == (1, 2)


def test_a_pool_buys_the_cheapest_type_that_holds_its_largest_replica():
    values = changed("node_pools.1.machine_types", ["g7e.48xlarge", "g7e.2xlarge", "g7e.12xlarge"])
    assert make_plan(parse(values, origin="test")).models[1].machine == "g7e.12xlarge"


def test_a_pool_without_models_costs_nothing():
    values = local_values()
    values["models"].pop()
    plan = make_plan(parse(values, origin="test"))
    assert plan.pools[1].machines_max == 0
    assert plan.usd_per_hour_max == pytest.approx(5 * machine("g6.2xlarge").price_per_hour_usd)


def test_warm_machines_are_paid_for_at_minimum_and_used_at_maximum():
    values = changed("node_pools.0.warm_nodes", 2)
    plan = make_plan(parse(values, origin="test"))
    l4 = machine("g6.2xlarge").price_per_hour_usd
    # One replica and two warm machines; five replicas and room for one more within max_nodes 6.
    assert (plan.pools[0].machines_min, plan.pools[0].machines_max) == (3, 6)
    assert plan.pools[0].usd_per_hour_min == pytest.approx(3 * l4)
    assert plan.pools[0].usd_per_hour_warm == pytest.approx(2 * l4)
    assert any("l4: 2 x g6.2xlarge warm for 1.96 $/h" in line for line in plan.lines())


def test_a_machine_with_many_gpus_that_never_empties_shows_what_its_idle_part_costs():
    values = changed("node_pools.0.machine_types", ["g6.48xlarge"])
    pool = make_plan(parse(values, origin="test")).pools[0]
    price = machine("g6.48xlarge").price_per_hour_usd
    # One replica holds 1 of 8 L4s for ever; the whole machine is charged.
    assert (pool.gpus_used_min, pool.gpus_idle_min) == (1, 7)
    assert pool.usd_per_hour_min == pytest.approx(price)
    assert pool.usd_per_hour_idle_min == pytest.approx(price * 7 / 8)
    lines = make_plan(parse(values, origin="test")).lines()
    assert any(
        "l4: 7 of 8 GPUs idle at minimum for 11.68 $/h: g6.48xlarge is charged whole" in line
        for line in lines
    )


def test_machines_that_are_full_or_warm_count_as_no_idle_part():
    values = changed("node_pools.0.warm_nodes", 1)
    plan = make_plan(parse(values, origin="test"))
    assert [pool.usd_per_hour_idle_min for pool in plan.pools] == [0, 0]
    assert not any("idle" in line for line in plan.lines())


def test_hot_replicas_are_paid_for_without_load_and_on_top_of_it():
    plan = make_plan(parse(changed("models.0.warm_replicas", 2), origin="test"))
    assert (plan.models[0].replicas_min, plan.models[0].replicas_expected) == (2, 5)
    assert plan.pools[0].machines_min == 2


def test_a_model_that_may_sleep_costs_nothing_while_it_does():
    plan = make_plan(parse(changed("models.1.replicas.min", 0), origin="test"))
    assert plan.pools[1].usd_per_hour_min == 0
    assert any(line.startswith("chat-large: ") and line.endswith("may sleep") for line in plan.lines())


def test_numbers_that_rest_on_estimates_say_so():
    lines = make_plan(from_file("local")).lines()
    assert (
        "chat: 0.98 requests/s and 14 at once per replica (estimated step times), 3 replicas under "
        "expected_load" in lines
    )


def test_lines_say_what_each_model_runs_on_and_how_old_the_prices_are():
    lines = make_plan(from_file("local")).lines()
    assert lines[0] == "chat: Qwen/Qwen3-8B, 1 to 5 replicas, each 1 x nvidia-l4 in g6.2xlarge (pool l4)"
    assert "9.26 $/h" in lines[-1]
    assert "2026-07-20" in lines[-1]


def test_exported_values_are_plain():
    exported = make_plan(from_file("local")).exported()
    assert exported["usd_per_hour_min"] == 9.2637
    assert exported["prices_as_of"] == "2026-07-20"


def test_tables_show_models_machines_replicas_and_prices():
    out = StringIO()
    make_plan(from_file("local")).show(Console(file=out, width=200))
    for part in (
        "chat-large",
        "RedHatAI/Llama-3.3-70B",
        "2 x nvidia-rtx-pro-6000-96gb",
        "1 to 5",
        "21.46",
        "2026-07-20",
    ):
        assert part in out.getvalue()


def test_command_answers_without_pulumi():
    # A module that is set to None cannot be imported: what `make plan` has on a machine without Pulumi.
    program = (
        "import sys; sys.modules['pulumi'] = sys.modules['pulumi_kubernetes'] = None; "
        "from stacks.plan import main; sys.exit(main(['local']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "chat-large" in done.stdout


def test_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]):
    assert main(["locl"]) == 1
    assert "did you mean local?" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from stacks.load import from_file, parse
from stacks.plan import make_plan
from stacks.plan.tables import show
from stacks.plan.text import lines
from tests.stacks.environments import aws_values, changed


def text_of(path: str, value: object) -> list[str]:
    return lines(make_plan(parse(changed(path, value), origin="test")))


def test_lines_say_what_each_model_runs_on_and_how_old_the_prices_are():
    text = lines(make_plan(from_file("local")))
    assert text[0] == "chat: Qwen/Qwen3-8B, 1 to 5 replicas, each 1 x nvidia-l4 in g6.2xlarge (pool l4)"
    assert "9.26 $/h" in text[-1]
    assert "2026-07-20" in text[-1]


def test_numbers_that_rest_on_estimates_say_so():
    text = lines(make_plan(from_file("local")))
    assert any(
        line.startswith("chat: 0.98 requests/s and 14 at once per replica (estimated step times), 3 replicas")
        for line in text
    )


def test_warm_and_idle_machines_are_named():
    assert any(
        "l4: 2 x g6.2xlarge warm for 1.96 $/h" in line for line in text_of("node_pools.0.warm_nodes", 2)
    )
    assert any(
        "l4: 7 of 8 GPUs idle at minimum for 11.68 $/h: g6.48xlarge is charged whole" in line
        for line in text_of("node_pools.0.machine_types", ["g6.48xlarge"])
    )
    assert not any("idle" in line or "warm" in line for line in text_of("node_pools.0.warm_nodes", 0))


def test_a_model_that_may_sleep_says_so():
    text = text_of("models.1.replicas.min", 0)
    assert any(line.startswith("chat-large: ") and "may sleep" in line for line in text)


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod", "prod-gcp"])
def test_tables_fit_a_terminal_of_80_columns(stack: str):
    out = StringIO()
    show(make_plan(from_file(stack)), ["a warning"], Console(file=out, width=80))
    assert max(len(line) for line in out.getvalue().splitlines()) <= 80
    assert "Warning: a warning" in out.getvalue()
    assert "Not included" in out.getvalue()
    # Names and amounts are never cut off.
    assert "…" not in out.getvalue()


def test_tables_show_models_machines_replicas_and_prices():
    out = StringIO()
    show(make_plan(from_file("local")), [], Console(file=out, width=200))
    for part in (
        "chat-large",
        "RedHatAI/Llama-3.3-70B",
        "2 x nvidia-rtx-pro-6000-96gb",
        "1 / 3 / 5",
        "21.46",
        "15666",
    ):
        assert part in out.getvalue()


def test_what_a_cluster_costs_before_machines_is_a_line_each():
    text = lines(make_plan(parse(aws_values(), origin="test")))
    assert "control plane: 0.10 $/h" in text
    assert "3 NAT gateways: 0.15 $/h" in text


def test_prices_that_the_stack_states_are_told_from_list_prices():
    price = {"machine_type": "g6.2xlarge", "usd_per_hour": 0.9, "as_of": "2026-11-20", "source": "contract"}
    text = text_of("price_overrides", [price])
    assert "list prices of us-east-1 and the stack's own prices, of 2026-07-20 or later" in text[-1]


def test_prices_by_rate_are_one_line_of_each_model():
    text = lines(make_plan(from_file("prod")))
    (chat,) = [line for line in text if line.startswith("chat: $ per million")]
    (large,) = [line for line in text if line.startswith("chat-large: $ per million")]
    assert chat.startswith("chat: $ per million output tokens by requests/s, alone on its pool: ")
    # max_nodes 13 and replicas.max 12 carry ten requests/s, not thirty.
    assert " at 10, not reached at 30; at most " in chat
    assert "not reached at 10, not reached at 30" in large

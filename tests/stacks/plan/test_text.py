from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from stacks.load import from_file, parse
from stacks.plan import make_plan
from stacks.plan.tables import show
from stacks.plan.text import outline, remarks
from tests.stacks.environments import changed, local_values


def text_of(path: str, value: object) -> list[str]:
    return remarks(make_plan(parse(changed(path, value), origin="test")))


def shown(values: dict[str, Any], part: str) -> Any:
    return outline(make_plan(parse(values, origin="test")))[part]


def test_the_outline_has_one_line_for_each_model_and_pool():
    found = outline(make_plan(from_file("local")))
    assert list(found) == ["models", "node_pools", "usd_per_month", "without_effect"]
    values = local_values()
    chat = shown(values, "models")["chat"]
    assert chat.startswith("1 / 3 / 5 replicas of 1 x nvidia-l4, ")
    # 66176 tokens of cache over 16384.
    assert "; context 16384, 4.0 full-length requests, " in chat
    # Longer values are cut off by Pulumi.
    assert all(len(line) <= 150 for line in shown(values, "models").values())
    assert shown(values, "node_pools")["l4"].startswith("1 / 3 / 5 x g6.2xlarge (at most 6 on-demand); ")


def test_the_outline_shows_a_doubled_context():
    chat = shown(changed("models.0.max_model_len", 32768), "models")["chat"]
    assert "; context 32768, 2.0 full-length requests, " in chat


def test_fields_without_effect_are_a_line_for_each_reason():
    assert shown({**local_values(), "tags": {"team": "a"}}, "without_effect") == [
        "models[0].slo.itl.objective, models[1].slo.itl.objective: nothing counts the requests that keep the "
        "latency between tokens",
        "tags: nothing that is registered carries them",
    ]


def test_numbers_that_rest_on_estimates_say_so():
    text = remarks(make_plan(from_file("local")))
    assert any(
        line.startswith("chat: ") and "at once per replica (estimated step times)" in line for line in text
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


def test_prices_that_the_stack_states_are_told_from_list_prices():
    price = {"machine_type": "g6.2xlarge", "usd_per_hour": 0.9, "as_of": "2026-11-20", "source": "contract"}
    assert ", at list prices of us-east-1 and the stack's own prices, of 20" in shown(
        changed("price_overrides", [price]), "usd_per_month"
    )


def test_a_rate_that_a_model_never_reaches_has_no_price():
    out = StringIO()
    show(make_plan(from_file("prod")), [], Console(file=out, width=200))
    # max_nodes 13 and replicas.max 12 carry ten requests/s, not thirty.
    assert any(
        line.startswith("│chat ") and line.count("not reached") == 1 for line in out.getvalue().splitlines()
    )

"""A whole summary, and what it says where there is no plan on one side."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from sizing.cost import Span
from stacks.load import parse
from stacks.plan import make_plan
from stacks.plan.coming_and_going import Planned
from stacks.plan.difference import Side, Verdict, summary, verdict
from stacks.problems import Problem, StackError
from tests.stacks.environments import local_values, merged

TODAY = date(2026, 7, 21)


def planned(changes: dict[str, object], **figures: Any) -> Planned:
    """The local stack with `changes`; these figures of its first model in place of the computed ones."""
    stack = parse(merged(local_values(), changes), "test")
    plan = make_plan(stack)
    chat, *others = plan.models
    fit = replace(chat.fit, kv_tokens=figures["kv_tokens"], max_concurrency=figures["full_length"])
    chat = replace(chat, fit=fit, usd_per_hour=figures["usd"])
    l4, large = plan.pools
    pools = (replace(l4, usd_per_hour=figures["usd"]), replace(large, usd_per_hour=Span(10, 10, 20)))
    return Planned(stack, replace(plan, models=(chat, *others), pools=pools))


def of(name: str, before: Side, after: Side) -> Verdict:
    return verdict(name, before, after, TODAY)


def test_a_whole_summary():
    """tests/stacks/plan/summary.md. 65536 tokens of cache are 4 x 16384 and 2 x 32768.

    chat's pool costs 1 / 3 / 5 $/h and then 1 / 4 / 6, the other 10 / 10 / 20; a month has 730 hours.
    """
    before = planned({"models.0.max_queued_requests": 8}, kv_tokens=65536, full_length=4.0, usd=Span(1, 3, 5))
    after = planned(
        {
            "models.0.max_model_len": 32768,
            "models.0.max_queued_requests": 7,
            "models.0.fallback": "chat-large",
            "tags": {"team": "a"},
        },
        kv_tokens=65536,
        full_length=2.0,
        usd=Span(1, 4, 6),
    )
    problems = [Problem("gateway", "3 must be a mapping"), Problem("models", "is gone")]
    verdicts = [
        of("local", before, after),
        of("calm", before, before),
        of("dev", before, StackError("Pulumi.dev.yaml", problems)),
        of("gone", before, None),
    ]
    text = summary(verdicts, "0123456789abcdef0123456789abcdef01234567", ["Images: none."])
    assert text == (Path(__file__).parent / "summary.md").read_text(encoding="utf-8")


HOSTILE = "`|</code></details><img src=x> @owners http://example/com\n# heading"


@pytest.mark.parametrize(
    "changes",
    [
        {"models.0.engine": HOSTILE},
        {"models.0.model": HOSTILE},
        {"node_pools.0.machine_types": [HOSTILE]},
        {"tags": {HOSTILE: HOSTILE}},
        {HOSTILE: HOSTILE},
    ],
)
def test_an_error_shows_what_a_stranger_wrote_as_code(changes: dict[str, object]):
    with pytest.raises(StackError) as raised:
        parse(merged(local_values(), changes), "test")
    page = rendered(of(HOSTILE, None, raised.value))
    for tag in ("<img", "<a ", "<h1", "</details", "<table"):
        assert tag not in page
    outside = "".join(part.partition("</code>")[2] for part in page.split("<code>"))
    assert "@" not in outside
    assert "http" not in outside


def test_free_text_of_a_stack_file_stays_in_its_cell():
    before = planned({}, kv_tokens=1, full_length=1.0, usd=Span(1, 1, 1))
    price = {"machine_type": "g6.2xlarge", "usd_per_hour": 1.0, "as_of": "2026-07-20", "source": HOSTILE}
    after = planned({"price_overrides": [price]}, kv_tokens=1, full_length=1.0, usd=Span(1, 1, 1))
    page = rendered(of("local", before, after))
    rows = page.split("<tr>")[1:]
    assert rows
    assert all(row.count("<td>") in (0, 4) for row in rows)
    assert "<img" not in page


def rendered(found: Verdict) -> str:
    return MarkdownIt("gfm-like", {"linkify": False}).render(summary([found], "main", []))

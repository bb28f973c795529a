from __future__ import annotations

import pytest

from sizing.cost import Span
from stacks.plan.change import (
    Effect,
    Judged,
    less_is_cheaper,
    less_is_gain,
    members_are_gain,
    more_is_gain,
    neutral,
    presence_is_gain,
)


@pytest.mark.parametrize(
    ("judged", "before", "after", "effect"),
    [
        (more_is_gain, 1, 2, "gain"),
        (more_is_gain, 2.0, 1, "loss"),
        (more_is_gain, 1, 1, ""),
        # A limit that is left out is no limit.
        (more_is_gain, 2048, None, "gain"),
        (more_is_gain, None, 2048, "loss"),
        (more_is_gain, None, None, ""),
        (more_is_gain, "a", 2, ""),
        (less_is_gain, 1, 2, "loss"),
        (less_is_gain, 2, 1, "gain"),
        (less_is_cheaper, 1.0, 2.0, "dearer"),
        (less_is_cheaper, 2.0, 1.0, "cheaper"),
        # What is expected counts, then the most, then the least.
        (less_is_cheaper, Span(1, 2, 3), Span(9, 1, 9), "cheaper"),
        (less_is_cheaper, Span(1, 2, 3), Span(0, 2, 4), "dearer"),
        (less_is_cheaper, Span(1, 2, 3), Span(0, 2, 3), "cheaper"),
        (less_is_cheaper, Span(1, 2, 3), Span(1, 2, 3), ""),
        (presence_is_gain, None, "other", "gain"),
        (presence_is_gain, "other", None, "loss"),
        (presence_is_gain, "other", "another", ""),
        (members_are_gain, ["a"], ["b", "a"], "gain"),
        (members_are_gain, ["a", "b"], ["b", "c"], "loss"),
        (members_are_gain, None, ["a"], "gain"),
        (members_are_gain, ["a"], None, "loss"),
        (members_are_gain, ["a", "b"], ["b", "a"], ""),
        (neutral, 1, 2, ""),
    ],
)
def test_what_a_change_is(judged: Judged, before: object, after: object, effect: Effect):
    assert judged(before, after) == effect

"""No registered value makes a rule crash: a crash would end a whole preview without a finding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.pack import RULES
from policies.rule import Rule
from tests.policies.cases import DENY, FROM_GATEWAY, to_block
from tests.policies.judging import UNKNOWN, changed, golden, judge

MANIFESTS = (
    *(
        golden(name)
        for name in (
            "deployment-chat",
            "deployment-gateway",
            "job-verify",
            "nodepool-l4",
            "poddisruptionbudget-chat",
            "scaledobject-chat",
            "namespace-inference",
            "service-chat",
        )
    ),
    DENY,
    FROM_GATEWAY,
    to_block("0.0.0.0/0", ["169.254.0.0/16"]),
)

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["0%", "100%", "-1", "nan", "inf", "inf%", "$(X)", UNKNOWN, "--max-model-len"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def paths(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place inside a manifest, except its kind and version, which are part of its type."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if at or key not in ("kind", "apiVersion"):
                yield (*at, key)
                yield from paths(item, (*at, key))


PLACES = [
    (index, path)
    for index, manifest in enumerate(MANIFESTS)
    for path in paths(manifest)
    # `changed` separates steps by dots, and some labels have dots of their own.
    if not any("." in str(step) for step in path)
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@given(place=st.sampled_from(PLACES), value=ODD)
def test_any_value_anywhere_is_judged_or_reported(rule: Rule, place, value):
    index, path = place
    spoilt = changed(MANIFESTS[index], ".".join(str(step) for step in path), value)
    manifests = [spoilt if position == index else other for position, other in enumerate(MANIFESTS)]
    judged = judge(rule, *manifests)
    assert all(": " in violation for violation in judged.violations)

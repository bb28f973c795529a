"""Public logs: what follows from their figures within 1 per cent, and from constants alone within 8."""

from __future__ import annotations

import pytest

from tests.sizing.fit.references import Comparison, comparisons, references, table

ALL = [one for row in references().values() for one in comparisons(row)]
FROM_THE_LOG = [one for one in ALL if one.given != "constants alone"]
BLIND = [one for one in ALL if one.given == "constants alone"]


def label(one: Comparison) -> str:
    return f"{one.name} {one.quantity} from {one.given}"


@pytest.mark.parametrize("one", FROM_THE_LOG, ids=label)
def test_what_follows_from_a_logged_figure_is_exact(one: Comparison):
    assert one.predicted == pytest.approx(one.logged, rel=0.01)


@pytest.mark.parametrize("one", BLIND, ids=label)
def test_constants_alone_come_close(one: Comparison):
    assert one.predicted == pytest.approx(one.logged, rel=0.08)


def test_every_log_is_compared_with_something():
    assert {one.name for one in ALL} == set(references())
    assert {one.name for one in BLIND} == {name for name, row in references().items() if row.blind}
    assert len(BLIND) >= 6


def test_every_log_since_0_16_with_a_pool_is_predicted_blind():
    for row in references().values():
        recent = tuple(int(part) for part in row.version.split(".")) >= (0, 16)
        assert row.blind == (recent and row.pool is not None), row.name


def test_the_published_table_is_what_the_code_says():
    from tests.sizing.fit.references import ROOT

    assert (ROOT / "docs" / "fit-errors.md").read_text(encoding="utf-8") == table(ALL)

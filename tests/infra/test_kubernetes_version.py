from __future__ import annotations

import pytest

from infra.kubernetes_version import (
    has_configurable_tolerance,
    kubernetes_version,
)


@pytest.mark.parametrize(
    ("text", "settable"), [("1.34", False), ("1.35", True), ("1.36", True), ("2.00", True)]
)
def test_releases_are_compared_as_numbers(text: str, settable: bool):
    assert has_configurable_tolerance(kubernetes_version(text)) is settable


def test_an_unknown_release_is_taken_for_an_old_one():
    assert not has_configurable_tolerance(None)

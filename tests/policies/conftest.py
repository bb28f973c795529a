"""The configuration of the stack, which rules may read: set by a test, gone after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from policies.stack_configuration import remember


@pytest.fixture
def configure() -> Iterator[Callable[[str, object], None]]:
    """Sets a section of the stack's configuration, as the engine sends it: JSON under the project's name."""
    yield lambda section, value: remember(
        "ours", {f"ours:{section}": json.dumps(value), "theirs:budget": "1"}
    )
    remember("ours", {})

"""The configuration of the stack, which rules may read: set by a test, gone after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pulumi
import pytest
from pulumi.runtime.config import CONFIG


@pytest.fixture
def configure() -> Iterator[Callable[[str, object], None]]:
    """Sets a section of the stack's configuration, as Pulumi hands it over: JSON under the project's name."""
    before = dict(CONFIG.get())

    def configure_section(section: str, value: object) -> None:
        pulumi.runtime.set_config(f"{pulumi.get_project()}:{section}", json.dumps(value))

    yield configure_section
    pulumi.runtime.set_all_config(before)

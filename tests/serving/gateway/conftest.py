from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.gateway.engine_server import Engine, serving


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for the gateway of a module."""
    with serving() as started:
        yield started

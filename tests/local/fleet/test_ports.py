from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fleet.ports import NoFreePort, PortAllocator, address_annotations, annotated_ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_in_use_is_never_handed_out(taken_port: int) -> None:
    allocator = PortAllocator(taken_port, taken_port + 3, start=taken_port)
    assert allocator.allocate() != taken_port


def test_no_port_is_handed_out_twice_and_a_released_one_comes_last() -> None:
    allocator = PortAllocator(start=20_000)
    first, second = allocator.allocate(), allocator.allocate()
    allocator.release([first])
    assert len({first, second, allocator.allocate()}) == 3


def test_an_exhausted_range_says_what_to_do(taken_port: int) -> None:
    allocator = PortAllocator(taken_port, taken_port)
    with pytest.raises(NoFreePort, match="end what listens there"):
        allocator.allocate()


def test_a_port_is_kept_across_a_restart_unless_something_has_taken_it(taken_port: int) -> None:
    allocator = PortAllocator()
    free = allocator.allocate()
    allocator.release([free])
    assert allocator.reclaim(free) == free
    assert allocator.reclaim(free) != free
    assert allocator.reclaim(taken_port) != taken_port


def test_annotations_name_each_port_and_the_first_one_without_a_number() -> None:
    found = address_annotations({8000: 20001, 9901: 20002}, 8000)
    assert found == {
        "local.llm-platform/address": "127.0.0.1:20001",
        "local.llm-platform/address-8000": "127.0.0.1:20001",
        "local.llm-platform/address-9901": "127.0.0.1:20002",
    }


@given(st.dictionaries(st.integers(1, 65535), st.integers(1, 65535), min_size=1))
def test_annotations_are_read_back(ports: dict[int, int]) -> None:
    assert annotated_ports(address_annotations(ports, next(iter(ports)))) == ports


def test_foreign_annotations_are_no_addresses() -> None:
    foreign = {
        "local.llm-platform/address-http": "127.0.0.1:1",
        "local.llm-platform/address-80": "10.0.0.1:80",
        "other": "x",
    }
    assert annotated_ports(foreign) == {}

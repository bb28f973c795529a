from __future__ import annotations

import ipaddress

import pytest

from local.fleet.addresses import AddressPool, NoFreeAddress


def test_addresses_are_distinct_documentation_addresses_until_there_are_none() -> None:
    pool = AddressPool()
    found = [pool.allocate() for _ in range(762)]
    assert len(set(found)) == 762
    assert not any(ipaddress.ip_address(address).is_global for address in found)
    with pytest.raises(NoFreeAddress, match="762"):
        pool.allocate()
    pool.release(found[5])
    assert pool.allocate() == found[5]


def test_a_pod_gets_its_old_address_back_unless_it_is_taken() -> None:
    pool = AddressPool()
    assert pool.allocate("203.0.113.9") == "203.0.113.9"
    assert pool.allocate("203.0.113.9") != "203.0.113.9"
    assert pool.allocate("10.0.0.1") != "10.0.0.1"

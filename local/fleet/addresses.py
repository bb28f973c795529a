"""Pod IP addresses. They exist in the API only: nothing may ever dial one.

Loopback addresses are refused in EndpointSlices, so pods get addresses of the ranges that RFC 5737 reserves
for documentation, which no router forwards.
"""

from __future__ import annotations

import ipaddress

_RANGES = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24")


class NoFreeAddress(LookupError):
    """Every documentation address is a pod's."""


class AddressPool:
    """Hands out pod addresses, 762 of them, none twice at a time."""

    def __init__(self) -> None:
        self._free = [str(host) for text in _RANGES for host in ipaddress.ip_network(text).hosts()]
        self._known = frozenset(self._free)

    def allocate(self, preferred: str | None = None) -> str:
        """`preferred` if it is free, else the address that has been free for longest.

        Raises:
            NoFreeAddress: more pods than addresses.
        """
        if preferred is not None and preferred in self._free:
            self._free.remove(preferred)
            return preferred
        if not self._free:
            raise NoFreeAddress(f"more than {len(self._known)} pods: no documentation address is left")
        return self._free.pop(0)

    def release(self, address: str) -> None:
        if address in self._known and address not in self._free:
            self._free.append(address)

"""Faults on demand, for tests of what is around an engine: by a marker in a prompt, or by a signal.

crash: the process that computes (vLLM's EngineCore) dies of the request. All open requests are answered with
vLLM's error, /health is 200 for half a second more, then the port closes and the process ends.
kill: the whole process is gone at once, as after the kernel's out-of-memory killer; connections are reset.
hang: the engine takes no further step. Connections stay open without a byte, new requests are accepted and
never answered, and /health is 200 all the while. SIGUSR1 does the same without a request.
"""

from __future__ import annotations

from enum import Enum

MARKER = b"<|emulator:"


class Fault(Enum):
    CRASH = b"<|emulator:crash|>"
    KILL = b"<|emulator:kill|>"
    HANG = b"<|emulator:hang|>"


def fault_in(prompt: bytes) -> Fault | None:
    """The fault that a prompt asks for."""
    if MARKER not in prompt:
        return None
    return next((fault for fault in Fault if fault.value in prompt), None)

"""What the engine refuses to start with."""

from __future__ import annotations


class Refused(ValueError):
    """A configuration that vLLM refuses at start; the message says why, in vLLM's words where they exist."""

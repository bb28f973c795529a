"""What vLLM lets into its queue: the bounds, and the two looks at them."""

from __future__ import annotations

from collections.abc import Collection

from local.engine.scheduler import Sequence
from local.engine.server_settings import Server

RENDERING_SECONDS = 0.005
"""From the first look at the bounds of the queue to the second, of a server that has any: vLLM renders and
tokenizes the prompt in between, in another thread. Requests of one burst pass the first look together and
meet at the second; requests 0.1 s apart do not (both seen with vLLM 0.32.0 and 0.33.0)."""


class QueueFull(Exception):
    """A bound of the queue is reached; `bound` is the name under which vLLM counts it."""

    def __init__(self, bound: str) -> None:
        super().__init__(bound)
        self.bound = bound


class ShuttingDown(Exception):
    """The engine takes no new requests because it is finishing its last ones."""


class EngineDead(Exception):
    """The process that computes has died; nothing is computed any more."""


def bound_reached(
    server: Server, queued: Collection[Sequence], choices: int, entered: int = 0, tokens: int = 0
) -> str | None:
    """The bound that `choices` more replies would exceed.

    queued: those that run or wait, which both count (vLLM 0.32.0, v1/engine/async_llm.py); entered: as many
    more are about to be, with prompts of `tokens` tokens.
    """
    bound = server.max_queued_requests
    if bound is not None and len(queued) + entered + choices > bound:
        return "max_num_queued_reqs"
    bound = server.max_queued_tokens
    if bound is not None:
        unread = sum(sequence.prompt_tokens for sequence in queued if not sequence.generated)
        if unread + tokens >= bound:
            return "max_num_queued_tokens"
    return None

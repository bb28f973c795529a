"""What a caller asked for, as the engine sees it: the choices of a request, and how they fare."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from local.engine import scheduler
from local.engine.faults import Fault
from local.engine.parts import Parts
from local.engine.reply import ReplyText, StopHit


@dataclass(slots=True, eq=False)
class Choice:
    """One reply of a request, and its times on the engine's clock.

    An embedding or a score is one too, without a token; its first and last token are when it was computed.
    reason: how it ends, stop or length; stop: the stop string that ends it, if one does. parts: thoughts and
    calls of tools, if it is more than words.
    """

    sequence: scheduler.Sequence
    reply: ReplyText
    reason: str
    stop: StopHit | None
    parts: Parts | None = None
    scheduled: float = 0.0
    first_token: float = 0.0
    last_token: float = 0.0
    aborted: bool = False

    @property
    def finished(self) -> bool:
        return self.sequence.phase is scheduler.Phase.FINISHED


@dataclass(slots=True, eq=False)
class Request:
    """Its choices, and the event that says one of them has advanced.

    prompts: how many it has; each has the same number of choices. arrived: 0 until it has. fault: what the
    engine does when it gets to this request, besides computing it. failed: the engine died under it.
    """

    choices: Sequence[Choice]
    max_tokens: int | None
    prompts: int = 1
    arrived: float = 0.0
    queued: float = 0.0
    fault: Fault | None = None
    failed: bool = False
    advanced: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def finished(self) -> bool:
        return all(choice.finished for choice in self.choices)

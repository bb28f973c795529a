"""The pairs of servers that are started, how, and what each pair is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx

from local.engine.comparison.asked import drains, keys, left, pooling, queue, tools
from local.engine.comparison.asked.bodies import CONTEXT
from local.engine.comparison.asked.http_details import HTTP_DETAILS
from local.engine.comparison.asked.messages import MESSAGES
from local.engine.comparison.asked.parameters import PARAMETERS
from local.engine.comparison.asked.plain import PLAIN
from local.engine.comparison.environment import Installed
from local.engine.comparison.exchanges import Exchange, Shape, send
from local.engine.comparison.servers import EMULATED_MODEL, RunningServer, emulator, real_vllm
from local.engine.comparison.tiny_model import LONGEST_CONTEXT

Answers = dict[str, Shape]
Ask = Callable[[RunningServer], Answers]

GENERAL = "general"
"""The session whose metrics are compared, too."""

MATTERS_OF_CHANCE = ("shutdown: ", "drain that runs out: ", f"queue: {queue.REFUSED_TOGETHER}")
"""Beginnings of names of answers that differ from run to run of the same vLLM. Its processes end in a race,
and open connections get their last event, an error, or nothing at all. Requests that arrive together pass its
first look at the queue together, or do not."""


@dataclass(frozen=True)
class Session:
    """One pair of servers. flags: of both; vllm_flags and emulator_flags: where the two must be told
    differently, because the real one serves a tiny model and the emulator takes the shape of a real one.
    """

    name: str
    ask: Ask
    flags: tuple[str, ...] = ()
    vllm_flags: tuple[str, ...] = ()
    emulator_flags: tuple[str, ...] = ()
    emulated_model: str = EMULATED_MODEL
    context: int = CONTEXT

    def real(self, installed: Installed) -> AbstractContextManager[RunningServer]:
        return real_vllm(installed, self.context, *self.flags, *self.vllm_flags)

    def emulated(self) -> AbstractContextManager[RunningServer]:
        return emulator(*self.flags, *self.emulator_flags, model=self.emulated_model, context=self.context)

    def answers(self, server: RunningServer) -> Answers:
        """What the server answers, by the session's name and that of the request."""
        return {f"{self.name}: {name}": shape for name, shape in self.ask(server).items()}


def asks(exchanges: Sequence[Exchange]) -> Ask:
    """Sends every exchange once, one after the other."""

    def ask(server: RunningServer) -> Answers:
        with httpx.Client(timeout=60) as client:
            return {exchange.name: send(exchange, server, client) for exchange in exchanges}

    return ask


def both(*askers: Ask) -> Ask:
    """One after the other, of the same server."""

    def ask(server: RunningServer) -> Answers:
        return {name: shape for asker in askers for name, shape in asker(server).items()}

    return ask


PARSERS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3")
COMPACT = ("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}')
"""Without it the random model writes mostly blanks, and no call is complete."""

MATRYOSHKA = ("--hf-overrides", '{"is_matryoshka": true}')

GENERAL_EXCHANGES = (*PLAIN, *PARAMETERS, *MESSAGES, *HTTP_DETAILS, *tools.TOOLS)

SESSIONS: tuple[Session, ...] = (
    Session("drain that runs out", drains.ran_out, flags=drains.RUNNING_OUT, context=LONGEST_CONTEXT),
    Session("left", left.left_clients, context=LONGEST_CONTEXT),
    Session("drain that finishes", drains.finished, flags=drains.FINISHING, context=LONGEST_CONTEXT),
    Session(GENERAL, asks(GENERAL_EXCHANGES)),
    Session(
        "parsers",
        asks(tools.unmarked((*tools.TOOLS, *tools.CALLS, *tools.THOUGHTS))),
        flags=PARSERS,
        vllm_flags=COMPACT,
    ),
    Session("queue", both(asks(queue.ALONE), queue.bursts), flags=queue.FLAGS),
    Session("key", asks(keys.KEYS), flags=("--api-key", keys.KEY)),
    Session("shutdown", drains.aborted, context=LONGEST_CONTEXT),
    Session(
        "embed",
        asks(pooling.EMBEDS),
        flags=MATRYOSHKA,
        vllm_flags=("--runner", "pooling", "--convert", "embed"),
        emulated_model="Qwen/Qwen3-Embedding-0.6B",
    ),
    Session(
        "rerank",
        asks(pooling.SCORES),
        emulator_flags=(
            "--convert",
            "classify",
            "--hf-overrides",
            '{"classifier_from_token": ["no", "yes"]}',
        ),
        # A classifier whose weights are made up like all others.
        vllm_flags=("--runner", "pooling", "--convert", "classify", "--hf-overrides", '{"num_labels": 1}'),
        emulated_model="Qwen/Qwen3-Reranker-0.6B",
    ),
)


def sessions(names: Sequence[str] = ()) -> Mapping[str, Session]:
    """The sessions by name; with names, those alone."""
    return {session.name: session for session in SESSIONS if not names or session.name in names}

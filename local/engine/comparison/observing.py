"""Starts the servers and asks them everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from local.engine.comparison.environment import Installed, Release
from local.engine.comparison.exchanges import with_alternatives
from local.engine.comparison.metric_families import Family, families
from local.engine.comparison.observations import Observed, observed_file, read_observed
from local.engine.comparison.servers import RunningServer, page
from local.engine.comparison.sessions import GENERAL, MATTERS_OF_CHANCE, Answers, Session

Start = Callable[[Session], AbstractContextManager[RunningServer]]


def observed_vllm(sessions: Mapping[str, Session], there: Installed) -> Observed:
    """A real vLLM for each session, one after the other: each takes 4 GiB."""
    return _together([_observed(session, lambda each: each.real(there)) for session in sessions.values()])


def observed_emulator(sessions: Mapping[str, Session]) -> Observed:
    """The emulator for each session, all beside each other: most of a session is waiting."""
    with ThreadPoolExecutor(len(sessions)) as pool:
        seen = pool.map(lambda session: _observed(session, Session.emulated), sessions.values())
        return _together(list(seen))


def with_what_chance_may_bring(seen: Observed, release: Release) -> Observed:
    """The answers that are a matter of chance with all that was seen of them before."""
    before = read_observed(release).answers if observed_file(release).exists() else {}
    return Observed(
        seen.idle,
        seen.used,
        {
            name: with_alternatives(shape, before.get(name)) if name.startswith(MATTERS_OF_CHANCE) else shape
            for name, shape in seen.answers.items()
        },
    )


def _observed(session: Session, start: Start) -> Observed:
    with start(session) as server:
        if session.name != GENERAL:
            return Observed({}, {}, session.answers(server))
        idle = families(page(server))
        answers = session.answers(server)
        return Observed(idle, families(page(server)), answers)


def _together(parts: list[Observed]) -> Observed:
    idle: dict[str, Family] = {}
    used: dict[str, Family] = {}
    answers: Answers = {}
    for part in parts:
        idle |= part.idle
        used |= part.used
        answers |= part.answers
    return Observed(idle, used, answers)

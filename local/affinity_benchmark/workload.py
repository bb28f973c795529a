"""Requests with prefixes in common. Pure: a seed decides everything but when a conversation goes on.

Lengths are round numbers of the size that public traces show: 6,800 tokens of prompt on average in Mooncake's
conversations, 1,155 in Azure's of 2023. Replies are short, because the first token is what a prefix saves.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

BYTES_PER_TOKEN = 4
"""Of the emulator, for any text."""


@dataclass(frozen=True)
class Turn:
    """One request: the text that it adds to the prompt, and the seconds that its user thought before."""

    text: str
    reply_tokens: int
    think_seconds: float


@dataclass(frozen=True)
class Session:
    """Requests of one user, one after the other, each with all that was said before. at: when it begins."""

    at: float
    key: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Case:
    """What users do. name, title: short and as a sentence."""

    name: str
    title: str


CONVERSATIONS = Case("conversations", "Conversations of five turns, a key for each")
DOCUMENTS = Case("documents", "Questions about 40 documents, a key for each, popular ones more often")
POPULAR = Case("popular", "The same, but every second question is about one document")
CASES = (CONVERSATIONS, DOCUMENTS, POPULAR)

CONVERSATIONS_PER_SECOND = 0.9
TURNS = 5
FIRST_PROMPT_TOKENS = 2000
TURN_TOKENS = 200
CONVERSATION_REPLY_TOKENS = 80
THINK_SECONDS = 4.0

QUESTIONS_PER_SECOND = 5.0
DOCUMENT_COUNT = 40
DOCUMENT_TOKENS = 4000
QUESTION_TOKENS = 50
ANSWER_TOKENS = 60


def sessions(case: Case, seconds: float, seed: int, salt: str) -> list[Session]:
    """What begins within `seconds`. `salt` makes prefixes new, so that no earlier measurement left them."""
    source = random.Random(f"{case.name} {seed}")
    if case is CONVERSATIONS:
        starts = _arrivals(CONVERSATIONS_PER_SECOND, seconds, source)
        return [_conversation(at, number, source, salt) for number, at in enumerate(starts)]
    starts = _arrivals(QUESTIONS_PER_SECOND, seconds, source)
    return [_question(at, _document(case, source), source, salt) for at in starts]


def text(tokens: int, name: str) -> str:
    """So many tokens of text that is the same for the same name and for no other."""
    return random.Random(name).randbytes(tokens * BYTES_PER_TOKEN // 2).hex()


def _arrivals(rate: float, seconds: float, source: random.Random) -> Sequence[float]:
    """A Poisson process."""
    found: list[float] = []
    at = source.expovariate(rate)
    while at < seconds:
        found.append(at)
        at += source.expovariate(rate)
    return found


def _conversation(at: float, number: int, source: random.Random, salt: str) -> Session:
    turns = tuple(
        Turn(
            text=text(TURN_TOKENS if turn else FIRST_PROMPT_TOKENS, f"{salt} {number} {turn}"),
            reply_tokens=CONVERSATION_REPLY_TOKENS,
            think_seconds=source.expovariate(1 / THINK_SECONDS) if turn else 0.0,
        )
        for turn in range(TURNS)
    )
    return Session(at, f"conversation-{salt}-{number}", turns)


def _document(case: Case, source: random.Random) -> int:
    if case is POPULAR and source.random() < 0.5:
        return 0
    # Zipf's law: the n-th is asked about 1/n as often as the first.
    weights = [1 / rank for rank in range(1, DOCUMENT_COUNT + 1)]
    return source.choices(range(DOCUMENT_COUNT), weights)[0]


def _question(at: float, document: int, source: random.Random, salt: str) -> Session:
    question = text(QUESTION_TOKENS, f"{salt} {source.random()}")
    whole = text(DOCUMENT_TOKENS, f"{salt} document {document}") + question
    return Session(at, f"document-{salt}-{document}", (Turn(whole, ANSWER_TOKENS, 0.0),))

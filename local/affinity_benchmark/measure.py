"""Sends a case's requests under each policy, in turns, and reads what clients and replicas saw."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from local.affinity_benchmark.servers import MODEL, POLICIES, POLICY_HEADER, Platform, Policy
from local.affinity_benchmark.workload import CASES, Case, Session, sessions
from serving.verify.verifier.streams import TOKEN_FIELDS

ANSWER_SECONDS = 120.0
COUNTERS = (
    "vllm:prefix_cache_queries_total",
    "vllm:prefix_cache_hits_total",
    "vllm:prompt_tokens_total",
    "vllm:prompt_tokens_cached_total",
)


@dataclass(frozen=True)
class Plan:
    """rounds of all cases and policies; seconds: in which sessions of one measurement begin."""

    rounds: int
    seconds: float
    replicas: int


@dataclass
class Measured:
    """One case under one policy, all rounds together.

    first_token: seconds of each answered request. failed: other requests. queried, hit: prompt tokens.
    computed: prompt tokens that each replica had to compute, for each round.
    """

    case: Case
    policy: Policy
    first_token: list[float] = field(default_factory=list)
    failed: int = 0
    queried: float = 0.0
    hit: float = 0.0
    computed: list[tuple[float, ...]] = field(default_factory=list)


def measure(plan: Plan, platform: Platform, say: Callable[[str], None]) -> list[Measured]:
    results = [Measured(case, policy) for case in CASES for policy in POLICIES]
    for number in range(plan.rounds):
        for result in results:
            say(f"round {number + 1} of {plan.rounds}: {result.case.name}, {result.policy}")
            asyncio.run(_once(plan, platform, result, number))
    return results


async def _once(plan: Plan, platform: Platform, result: Measured, number: int) -> None:
    # The same users at the same times under every policy; only what they write is new to the caches.
    planned = sessions(result.case, plan.seconds, number, f"{number} {result.policy}")
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        before = await _counters(client, platform.replicas)
        began = time.monotonic()
        users = [asyncio.create_task(_user(client, platform, result, each, began)) for each in planned]
        await asyncio.gather(*users)
        after = await _counters(client, platform.replicas)
    grown = [
        {name: later[name] - earlier[name] for name in COUNTERS}
        for earlier, later in zip(before, after, strict=True)
    ]
    result.queried += sum(each["vllm:prefix_cache_queries_total"] for each in grown)
    result.hit += sum(each["vllm:prefix_cache_hits_total"] for each in grown)
    result.computed.append(
        tuple(each["vllm:prompt_tokens_total"] - each["vllm:prompt_tokens_cached_total"] for each in grown)
    )


async def _user(
    client: aiohttp.ClientSession, platform: Platform, result: Measured, session: Session, began: float
) -> None:
    await asyncio.sleep(max(0.0, began + session.at - time.monotonic()))
    said: list[dict[str, str]] = []
    for turn in session.turns:
        await asyncio.sleep(turn.think_seconds)
        said.append({"role": "user", "content": turn.text})
        body = {
            "model": MODEL,
            "messages": said,
            "max_tokens": turn.reply_tokens,
            "stream": True,
            "prompt_cache_key": session.key,
        }
        try:
            seconds, reply = await _ask(client, platform.gateway, body, result.policy)
        except (aiohttp.ClientError, TimeoutError):
            result.failed += 1
            return
        result.first_token.append(seconds)
        said.append({"role": "assistant", "content": reply})


async def _ask(
    client: aiohttp.ClientSession, port: int, body: Mapping[str, object], policy: Policy
) -> tuple[float, str]:
    """Seconds to the first token, and the length of the reply as text. Raises aiohttp's errors."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    asked = time.monotonic()
    first: float | None = None
    async with client.post(url, json=body, headers={POLICY_HEADER: policy}) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            if first is None and _has_text(line):
                first = time.monotonic() - asked
    if first is None:
        raise aiohttp.ClientPayloadError("a reply without a token")
    # What the engine generated is not in its cache of prompts; a stand-in of the same length is as good.
    return first, "word" * int(str(body["max_tokens"]))


def _has_text(line: bytes) -> bool:
    """Whether a line of the stream has a token. The first event has a role only."""
    if not line.startswith(b"data: {"):
        return False
    choices = json.loads(line.removeprefix(b"data: "))["choices"]
    return bool(choices) and any(choices[0]["delta"].get(name) for name in TOKEN_FIELDS)


async def _counters(client: aiohttp.ClientSession, ports: Sequence[int]) -> list[dict[str, float]]:
    found = []
    for port in ports:
        async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
            text = await answer.text()
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        found.append({each.name: each.value for each in samples if each.name in COUNTERS})
    return found

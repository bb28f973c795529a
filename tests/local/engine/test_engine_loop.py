from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from local.engine.admission import QueueFull, ShuttingDown
from local.engine.engine_loop import EngineLoop
from local.engine.metrics import EngineMetrics
from local.engine.reply import ReplyText
from local.engine.request import Choice, Request
from local.engine.scheduler import Sequence
from tests.local.engine.conftest import quick_engine


def request(prompt: int = 8, output: int = 5, choices: int = 1) -> Request:
    made = [
        Choice(Sequence(prompt, output, []), ReplyText(index), "length", None) for index in range(choices)
    ]
    return Request(made, max_tokens=output)


async def completed(waited_for: Request) -> None:
    while not waited_for.finished:
        await asyncio.wait_for(waited_for.advanced.wait(), 5)
        waited_for.advanced.clear()


Body = Callable[[EngineLoop, CollectorRegistry], Awaitable[None]]


def with_loop(body: Body, *flags: str, step_ms: float = 1.0) -> None:
    """Runs `body` beside a running engine loop."""

    async def run() -> None:
        engine, server = quick_engine(*flags, step_ms=step_ms)
        registry = CollectorRegistry()
        loop = EngineLoop(engine, server, EngineMetrics(registry, engine, server))
        stepping = asyncio.ensure_future(loop.run())
        try:
            await body(loop, registry)
            assert not stepping.done(), stepping.exception()
        finally:
            stepping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stepping

    asyncio.run(run())


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, {"model_name": "chat", "engine": "0", **labels})
    assert found is not None, name
    return found


def test_a_request_is_counted_and_timed_by_the_engines_clock():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(prompt=8, output=5, choices=2)
        loop.submit(asked)
        await completed(asked)
        assert value(registry, "vllm:generation_tokens_total") == 10
        assert value(registry, "vllm:prompt_tokens_total") == 16
        assert value(registry, "vllm:request_success_total", finished_reason="length") == 2
        assert value(registry, "vllm:time_to_first_token_seconds_count") == 2
        assert value(registry, "vllm:inter_token_latency_seconds_count") == 8
        # Four tokens after the first, one step of 5 ms each, however late this process woke up.
        assert value(registry, "vllm:inter_token_latency_seconds_sum") == pytest.approx(8 * 0.005)
        assert value(registry, "vllm:request_decode_time_seconds_sum") == pytest.approx(2 * 4 * 0.005)
        assert value(registry, "vllm:request_params_n_sum") == 2
        assert value(registry, "vllm:request_max_num_generation_tokens_sum") == 5
        assert value(registry, "vllm:iteration_tokens_total_count") == 5
        assert value(registry, "vllm:iteration_tokens_total_sum") == 16 + 10
        assert value(registry, "vllm:num_requests_running") == 0

    with_loop(body, step_ms=5)


def test_the_queue_shows_what_waits_for_capacity():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        requests = [request(output=20) for _ in range(5)]
        for each in requests:
            loop.submit(each)
        # They arrive microseconds apart: the first step has only the first of them.
        while requests[0].choices[0].sequence.generated < 3:
            await asyncio.sleep(0.001)
        assert value(registry, "vllm:num_requests_running") == 2
        assert value(registry, "vllm:num_requests_waiting") == 3
        assert value(registry, "vllm:num_requests_waiting_by_reason", reason="capacity") == 3
        assert value(registry, "vllm:num_requests_waiting_by_reason", reason="deferred") == 0
        for each in requests:
            await completed(each)
        assert value(registry, "vllm:num_requests_waiting") == 0
        assert value(registry, "vllm:request_queue_time_seconds_sum") > 0.02

    with_loop(body, "--max-num-seqs", "2")


def test_a_late_process_catches_up_with_several_tokens_at_once():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(output=100)
        loop.submit(asked)
        await asyncio.wait_for(asked.advanced.wait(), 5)
        asked.advanced.clear()
        before = asked.choices[0].sequence.generated
        time.sleep(0.06)  # nobody can write: the machine is busy with something else
        await asyncio.wait_for(asked.advanced.wait(), 5)
        assert asked.choices[0].sequence.generated - before >= 10
        await completed(asked)

    with_loop(body, step_ms=2)


def test_an_aborted_request_makes_room():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        running, waiting, later = request(output=1000), request(output=1000), request(output=2)
        for each in (running, waiting, later):
            loop.submit(each)
        await asyncio.wait_for(running.advanced.wait(), 5)
        loop.abort(waiting)
        loop.abort(running)
        await completed(later)
        assert running.choices[0].aborted
        # A caller that left is not counted, as in vLLM 0.32.
        assert value(registry, "vllm:request_success_total", finished_reason="abort") == 0
        assert value(registry, "vllm:kv_cache_usage_perc") == 0

    with_loop(body, "--max-num-seqs", "1")


def test_a_request_aborted_before_it_is_queued_never_runs():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request()
        loop.submit(asked)
        loop.abort(asked)
        await asyncio.sleep(0.02)
        assert asked.finished
        assert value(registry, "vllm:iteration_tokens_total_count") == 0

    with_loop(body)


def test_the_queue_is_bounded_by_requests():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        loop.submit(request(output=1000, choices=2))
        loop.check_admission(1)
        with pytest.raises(QueueFull, match="max_num_queued_reqs"):
            loop.check_admission(2)
        rejected = registry.get_sample_value(
            "vllm:admission_rejections_total", {"model_name": "chat", "reason": "max_num_queued_reqs"}
        )
        assert rejected == 1

    with_loop(body, "--max-num-queued-reqs", "3")


def test_the_queue_is_bounded_by_prompt_tokens_without_a_first_token():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(prompt=100, output=1000)
        loop.submit(asked)
        with pytest.raises(QueueFull, match="max_num_queued_tokens"):
            loop.check_admission(1)
        await asyncio.wait_for(asked.advanced.wait(), 5)
        loop.check_admission(1)

    with_loop(body, "--max-num-queued-tokens", "100")


def test_a_drain_finishes_what_runs_and_takes_nothing_new():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(output=30)
        loop.submit(asked)
        draining = asyncio.ensure_future(loop.drain(5))
        await asyncio.sleep(0)
        loop.check_admission(1)  # the bounds are looked at first, then there is nothing to tokenize with
        with pytest.raises(ShuttingDown):
            loop.check_open()
        assert await draining == 0
        assert asked.choices[0].sequence.generated == 30

    with_loop(body)


def test_a_drain_that_takes_too_long_leaves_requests_alone():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(output=1500)
        loop.submit(asked)
        assert await loop.drain(0.05) == 1
        assert not asked.finished

    with_loop(body)


def test_an_abort_ends_them():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request(output=1500)
        loop.submit(asked)
        await asyncio.sleep(0.02)
        assert loop.abort_all() == 1
        assert asked.finished
        assert asked.choices[0].aborted

    with_loop(body)


def test_the_time_around_the_steps_counts_before_the_queue():
    async def body(loop: EngineLoop, registry: CollectorRegistry) -> None:
        asked = request()
        loop.submit(asked)
        assert asked.queued - asked.arrived == pytest.approx(loop.engine.timing.request_ms / 1000)
        await completed(asked)

    with_loop(body)

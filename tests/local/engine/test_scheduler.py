from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.engine.scheduler import Limits, Phase, Scheduler, Sequence


def limits(
    max_running: int = 8,
    step_tokens: int = 64,
    blocks: int = 100,
    block_size: int = 4,
    prefix_caching: bool = False,
) -> Limits:
    return Limits(max_running, step_tokens, blocks, block_size, prefix_caching)


def run(scheduler: Scheduler, steps: int = 10_000) -> list[Sequence]:
    """Steps until there is no work; the sequences in the order in which they finished."""
    finished = []
    for _ in range(steps):
        if not scheduler.has_work:
            return finished
        finished += scheduler.complete(scheduler.schedule()).finished
    raise AssertionError(f"still at work after {steps} steps")


def test_one_request_takes_one_step_for_its_prompt_and_one_for_each_further_token():
    scheduler = Scheduler(limits())
    scheduler.add(Sequence(10, 3, []))
    first = scheduler.schedule()
    assert (first.computed_tokens, first.context_tokens) == (10, 10)
    scheduler.complete(first)
    second = scheduler.schedule()
    assert (second.computed_tokens, second.context_tokens) == (1, 11)


def test_a_long_prompt_is_computed_in_chunks_beside_the_others():
    scheduler = Scheduler(limits(step_tokens=16))
    short, long = Sequence(4, 5, []), Sequence(40, 1, [])
    scheduler.add(short)
    scheduler.add(long)
    chunks = []
    while long.phase is not Phase.FINISHED:
        step = scheduler.schedule()
        chunks.append(dict(step.work).get(long, 0))
        assert step.computed_tokens <= 16
        scheduler.complete(step)
    assert chunks == [12, 15, 13]
    assert short.generated == 3


def test_requests_are_admitted_in_order_of_arrival():
    scheduler = Scheduler(limits(max_running=1))
    sequences = [Sequence(8, 2, []) for _ in range(5)]
    for sequence in sequences:
        scheduler.add(sequence)
    assert run(scheduler) == sequences


def test_a_small_request_does_not_overtake_one_that_waits_for_memory():
    scheduler = Scheduler(limits(blocks=10))
    scheduler.add(Sequence(24, 4, []))
    large, small = Sequence(20, 1, []), Sequence(1, 1, [])
    scheduler.add(large)
    scheduler.add(small)
    step = scheduler.schedule()
    assert [sequence for sequence, _ in step.work] == [scheduler.running[0]]
    assert list(scheduler.waiting) == [large, small]


def test_the_newest_request_loses_its_memory_and_still_finishes():
    scheduler = Scheduler(limits(blocks=8))
    old, new = Sequence(12, 16, []), Sequence(12, 16, [])
    scheduler.add(old)
    scheduler.add(new)
    finished = run(scheduler)
    assert old.preemptions == 0
    assert new.preemptions >= 1
    assert finished == [old, new]
    assert scheduler.pool.free == 8


def test_a_preempted_request_computes_its_own_output_again():
    scheduler = Scheduler(limits(blocks=8))
    old, new = Sequence(12, 16, []), Sequence(12, 16, [])
    scheduler.add(old)
    scheduler.add(new)
    while not new.preemptions:
        scheduler.complete(scheduler.schedule())
    generated = new.generated
    assert generated > 0
    assert new.computed == 0
    computed = 0
    while new.phase is Phase.WAITING:
        step = scheduler.schedule()
        computed = dict(step.work).get(new, 0)
        scheduler.complete(step)
    assert computed == 12 + generated


def test_a_preempted_request_goes_before_those_that_arrived_later():
    scheduler = Scheduler(limits(blocks=8, max_running=2))
    sequences = [Sequence(12, 16, []) for _ in range(3)]
    for sequence in sequences:
        scheduler.add(sequence)
    while not sequences[1].preemptions:
        step = scheduler.schedule()
        scheduler.complete(step)
    assert list(scheduler.waiting) == sequences[1:]


def test_a_known_prefix_is_not_computed_again():
    scheduler = Scheduler(limits(prefix_caching=True))
    scheduler.add(Sequence(12, 1, [1, 2, 3]))
    run(scheduler)
    again = Sequence(12, 1, [1, 2, 9])
    scheduler.add(again)
    step = scheduler.schedule()
    assert (step.queried_tokens, step.hit_tokens, step.computed_tokens) == (12, 8, 4)
    assert again.cached == 8


def test_the_last_token_of_a_known_prompt_is_computed_all_the_same():
    scheduler = Scheduler(limits(prefix_caching=True))
    scheduler.add(Sequence(12, 1, [1, 2, 3]))
    run(scheduler)
    scheduler.add(Sequence(12, 1, [1, 2, 3]))
    step = scheduler.schedule()
    assert (step.hit_tokens, step.computed_tokens) == (8, 4)


def test_requests_with_one_prefix_share_its_memory():
    scheduler = Scheduler(limits(prefix_caching=True))
    for _ in range(3):
        scheduler.add(Sequence(13, 4, [1, 2, 3]))
    scheduler.complete(scheduler.schedule())
    assert scheduler.pool.blocks - scheduler.pool.free == 3 + 3


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_an_aborted_request_leaves_nothing(steps: int):
    scheduler = Scheduler(limits(max_running=1))
    first, second = Sequence(8, 9, []), Sequence(8, 9, [])
    scheduler.add(first)
    scheduler.add(second)
    for _ in range(steps):
        scheduler.complete(scheduler.schedule())
    scheduler.abort(second)
    scheduler.abort(first)
    assert not scheduler.has_work
    assert scheduler.pool.free == scheduler.pool.blocks


def test_a_request_aborted_during_its_step_gets_no_token():
    scheduler = Scheduler(limits())
    sequence = Sequence(8, 9, [])
    scheduler.add(sequence)
    step = scheduler.schedule()
    scheduler.abort(sequence)
    assert scheduler.complete(step).advanced == []
    assert sequence.generated == 0


def test_a_request_that_can_never_fit_is_refused():
    scheduler = Scheduler(limits(blocks=4))
    with pytest.raises(ValueError, match="10 \\+ 7 tokens do not fit into a KV cache of 16 tokens"):
        scheduler.add(Sequence(10, 7, []))


requests = st.tuples(st.integers(1, 40), st.integers(1, 24), st.integers(0, 3))


@settings(max_examples=150, deadline=None)
@given(
    asked=st.lists(requests, min_size=1, max_size=25),
    max_running=st.integers(1, 6),
    step_tokens=st.integers(6, 50),
    blocks=st.integers(16, 40),
    prefix_caching=st.booleans(),
    aborted=st.sets(st.integers(0, 24)),
)
def test_nothing_is_lost_and_no_limit_is_exceeded(
    asked: list[tuple[int, int, int]],
    max_running: int,
    step_tokens: int,
    blocks: int,
    prefix_caching: bool,
    aborted: set[int],
):
    scheduler = Scheduler(limits(max_running, step_tokens, blocks, 4, prefix_caching))
    sequences = [
        Sequence(prompt, output, [family * 1000 + index for index in range(prompt // 4)])
        for prompt, output, family in asked
    ]
    admitted: list[Sequence] = []
    tokens = 0
    for sequence in sequences:
        scheduler.add(sequence)
    victims = [sequences[index] for index in sorted(aborted) if index < len(sequences)]
    steps = 0
    while scheduler.has_work:
        step = scheduler.schedule()
        admitted += step.admitted
        held = {block for sequence in scheduler.running for block in sequence.blocks}
        assert len(held) == scheduler.pool.blocks - scheduler.pool.free <= blocks
        assert len(scheduler.running) <= max_running
        assert 0 < step.computed_tokens <= step_tokens
        for sequence in scheduler.running:
            assert len(sequence.blocks) * 4 >= sequence.computed
        if victims and steps % 3 == 2:
            scheduler.abort(victims.pop())
        result = scheduler.complete(step)
        tokens += len(result.advanced)
        for sequence in result.advanced:
            assert sequence.computed == sequence.tokens - 1
        steps += 1
        assert steps < 5000
    assert scheduler.pool.free == blocks
    assert tokens == sum(sequence.generated for sequence in sequences)
    gone = {id(sequences[index]) for index in aborted if index < len(sequences)}
    for sequence, (_, output, _) in zip(sequences, asked, strict=True):
        assert sequence.phase is Phase.FINISHED
        if id(sequence) not in gone:
            assert sequence.generated == output
    order = [sequences.index(sequence) for sequence in admitted]
    assert order == sorted(order)

"""Continuous batching as vLLM's scheduler does it, step by step and without a clock.

`schedule` decides what the next step computes, `complete` applies that it has been computed. Between the two
the caller lets the step's time pass, real or simulated. The rules are vLLM's defaults: first come first
served, chunked prefill within a token budget, running requests before waiting ones, preemption of the newest
request with recomputation, a request admitted only when the blocks of its whole prompt are free, prefix
caching.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from local.engine.blocks import BlockPool


class Phase(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True)
class Limits:
    """What bounds one step.

    max_running: sequences in a step (--max-num-seqs).
    step_tokens: tokens computed in a step (--max-num-batched-tokens).
    blocks: KV blocks of `block_size` tokens.
    prefix_caching: whether blocks are found again by their keys.
    adapters: LoRA adapters in a step (--max-loras).
    """

    max_running: int
    step_tokens: int
    blocks: int
    block_size: int
    prefix_caching: bool
    adapters: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """One reply being generated, or one prompt that is only read.

    prompt_tokens, output_tokens: lengths; the output's is known to the emulator in advance. It is 0 for an
    embedding or a score: that request ends with the step that computes the last of its prompt.
    block_keys: key of each full block of the prompt.
    adapter: name of the LoRA adapter that it is computed with.
    computed: tokens whose keys and values are in the cache.
    generated: tokens of the reply that exist.
    cached: prompt tokens found in the cache when it was first admitted.
    """

    prompt_tokens: int
    output_tokens: int
    block_keys: list[int]
    adapter: str | None = None
    phase: Phase = Phase.WAITING
    computed: int = 0
    generated: int = 0
    cached: int = 0
    preemptions: int = 0
    admitted: bool = False
    blocks: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generated


@dataclass(slots=True)
class Step:
    """One step's work: (sequence, tokens to compute), who joined, who lost their memory, what the cache
    found.

    context_tokens: tokens in the cache that the attention of this step reads, over all its sequences.
    """

    work: list[tuple[Sequence, int]]
    admitted: list[Sequence]
    preempted: list[Sequence]
    queried_tokens: int
    hit_tokens: int
    computed_tokens: int
    context_tokens: int


@dataclass(slots=True)
class StepResult:
    """What a step produced: the sequences that got a token or their pooled output, and those of them that are
    now complete."""

    advanced: list[Sequence]
    finished: list[Sequence]


class Scheduler:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pool = BlockPool(limits.blocks)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    @property
    def has_work(self) -> bool:
        return bool(self.running or self.waiting)

    def largest_request(self) -> int:
        """Most tokens (prompt and reply) that one sequence can have before it no longer fits on its own."""
        return self.limits.blocks * self.limits.block_size

    def add(self, sequence: Sequence) -> None:
        """Queues a new sequence. Raises ValueError if it could never fit, which would block the queue for
        good."""
        if sequence.prompt_tokens < 1 or sequence.output_tokens < 0:
            raise ValueError(
                "a sequence has at least one prompt token and no negative number of output tokens"
            )
        if sequence.prompt_tokens + sequence.output_tokens > self.largest_request():
            raise ValueError(
                f"{sequence.prompt_tokens} + {sequence.output_tokens} tokens do not fit into a KV cache of "
                f"{self.largest_request()} tokens"
            )
        self.waiting.append(sequence)

    def abort(self, sequence: Sequence) -> None:
        """Drops a sequence in whatever phase it is; nothing happens if it is finished."""
        if sequence.phase is Phase.RUNNING:
            self.running.remove(sequence)
        elif sequence.phase is Phase.WAITING:
            self.waiting.remove(sequence)
        self._retire(sequence)

    def schedule(self) -> Step:
        """Chooses the next step's work and reserves its memory. The step is empty only if there is no
        work."""
        step = Step([], [], [], 0, 0, 0, 0)
        budget = self.limits.step_tokens
        index = 0
        while index < len(self.running) and budget:
            sequence = self.running[index]
            tokens = min(sequence.tokens - sequence.computed, budget)
            if not self._make_room(sequence, tokens, step):
                break
            budget -= tokens
            self._plan(step, sequence, tokens)
            index += 1
        # A step that had to take memory from a running request has none for a new one.
        # One that would be an adapter too many is passed over and keeps its place.
        passed = 0
        while budget and not step.preempted and len(self.running) < self.limits.max_running:
            if passed == len(self.waiting):
                break
            if self._one_adapter_too_many(self.waiting[passed]):
                passed += 1
                continue
            tokens = self._admit(passed, budget, step)
            if not tokens:
                break
            budget -= tokens
        return step

    def _one_adapter_too_many(self, sequence: Sequence) -> bool:
        if sequence.adapter is None:
            return False
        used = {running.adapter for running in self.running} - {None}
        return sequence.adapter not in used and len(used) >= self.limits.adapters

    def complete(self, step: Step) -> StepResult:
        """Applies a step. Sequences aborted while it ran are skipped."""
        result = StepResult([], [])
        for sequence, tokens in step.work:
            if sequence.phase is not Phase.RUNNING:
                continue
            sequence.computed += tokens
            if sequence.computed < sequence.tokens:
                continue  # its prompt needs more steps
            sequence.generated += 1 if sequence.output_tokens else 0
            result.advanced.append(sequence)
            if sequence.generated == sequence.output_tokens:
                result.finished.append(sequence)
                self._retire(sequence)
        if result.finished:
            self.running = [sequence for sequence in self.running if sequence.phase is Phase.RUNNING]
        return result

    def _make_room(self, sequence: Sequence, tokens: int, step: Step) -> bool:
        """Reserves blocks for `tokens` more tokens, from the newest running requests if need be.

        False if the sequence had to give up its own memory.
        """
        needed = self._blocks_for(sequence.computed + tokens) - len(sequence.blocks)
        while needed > self.pool.free:
            newest = self.running.pop()
            self._preempt(newest, step)
            if newest is sequence:
                return False
        if needed > 0:
            sequence.blocks += self.pool.take(needed)
        return True

    def _admit(self, position: int, budget: int, step: Step) -> int:
        """Moves one of the queue into the batch; tokens it gets in this step, 0 if memory is short."""
        sequence = self.waiting[position]
        shared: list[int] = []
        if self.limits.prefix_caching:
            # The last token is always computed: its output is what the first new token is sampled from.
            reusable = (sequence.tokens - 1) // self.limits.block_size
            shared = self.pool.cached_prefix(sequence.block_keys[:reusable])
        whole = self._blocks_for(sequence.tokens) - len(shared)
        if whole > self.pool.free - self.pool.unused_of(shared):
            return 0
        hit = len(shared) * self.limits.block_size
        tokens = min(sequence.tokens - hit, budget)
        del self.waiting[position]
        self.running.append(sequence)
        self.pool.share(shared)
        sequence.blocks = shared + self.pool.take(self._blocks_for(hit + tokens) - len(shared))
        sequence.computed = hit
        sequence.phase = Phase.RUNNING
        if not sequence.admitted:
            sequence.admitted = True
            sequence.cached = hit
            step.admitted.append(sequence)
            if self.limits.prefix_caching:
                step.queried_tokens += sequence.tokens
                step.hit_tokens += hit
        self._plan(step, sequence, tokens)
        return tokens

    def _plan(self, step: Step, sequence: Sequence, tokens: int) -> None:
        end = sequence.computed + tokens
        step.work.append((sequence, tokens))
        step.computed_tokens += tokens
        step.context_tokens += end
        if self.limits.prefix_caching and sequence.computed < sequence.prompt_tokens:
            size = self.limits.block_size
            full = min(end // size, len(sequence.block_keys))
            for index in range(sequence.computed // size, full):
                self.pool.remember(sequence.blocks[index], sequence.block_keys[index])

    def _preempt(self, sequence: Sequence, step: Step) -> None:
        """Takes a running sequence's memory; it waits at the head of the queue and computes everything
        again."""
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0
        sequence.preemptions += 1
        sequence.phase = Phase.WAITING
        self.waiting.appendleft(sequence)
        step.preempted.append(sequence)

    def _retire(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.phase = Phase.FINISHED

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.limits.block_size)

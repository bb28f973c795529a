"""Does one replica fit, and how much room is left? The one function that everything else asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sizing.fit import adapters, node, parallelism
from sizing.fit.concurrency import (
    Pool,
    growth_per_token,
    most_sequences,
    pool_of,
    reported_tokens,
    requests_at_once,
)
from sizing.fit.datatypes import unsupported, without_native_units
from sizing.fit.memory import Memory, Setting, memory_by_stage, setting
from sizing.fit.request import FitRequest
from sizing.fit.result import Fit, Line

RISKY_UTILIZATION = 0.93
"""Above it gpt-oss-20b ran out of memory in the sampler's warm-up at 0.95 on an H100, and started at 0.90."""


@dataclass(frozen=True)
class Numbers:
    """Everything that follows from a request whose fields are valid by themselves."""

    chosen: Setting
    memories: tuple[Memory, ...]
    pools: tuple[Pool, ...]

    @property
    def tightest(self) -> int:
        """The stage that decides: the one whose pool holds the fewest requests."""
        context = self.chosen.context
        return min(range(len(self.pools)), key=lambda index: self.pools[index].concurrency(context))


def fit(request: FitRequest) -> Fit:
    """The answer for one replica. A request that cannot run is an answer too, `fits: False` with its reason.

    Raises ValueError for a version, method or data type that does not exist, for the model or at all.
    """
    chosen = setting(request)
    refusals = list(_refusals(chosen))
    memories = memory_by_stage(chosen)
    numbers = Numbers(chosen, memories, tuple(pool_of(chosen, one) for one in memories))
    if chosen.context <= request.model.max_context:
        refusals += _too_large(numbers)
    refusals += _too_many_sequences(numbers)
    return _answer(numbers, refusals)


def fits(request: FitRequest) -> bool:
    """Whether `fit` would say yes, for a search among many."""
    return fit(request).fits


def _refusals(chosen: Setting) -> Iterator[str]:
    """What is impossible whatever the memory."""
    request = chosen.request
    yield from parallelism.problems(request)
    yield from unsupported(request.model, request.accelerator, chosen.quantization, request.kv_cache_dtype)
    if not 0 < chosen.utilization <= 1:
        yield f"gpu_memory_utilization {chosen.utilization:g} is not above 0 and at most 1"
    if chosen.context > request.model.max_context:
        yield (
            f"max_model_len {chosen.context} is more than {request.model.name} can read: at most "
            f"{request.model.max_context} tokens"
        )
    if request.model.foreign_code is not None and not request.trust_remote_code:
        yield f"{request.model.name} cannot be started: {request.model.foreign_code.text}"
    if request.adapters is not None:
        for refusal in adapters.refusals(request.model.architecture):
            yield f"no adapters of {request.model.name}: {refusal}"
    if request.machine is not None:
        yield from node.problems(request, request.machine)


def _too_large(numbers: Numbers) -> Iterator[str]:
    """What does not fit the memory of a GPU."""
    chosen, index = numbers.chosen, numbers.tightest
    memory, pool = numbers.memories[index], numbers.pools[index]
    gpus = chosen.request.tensor_parallel * chosen.request.pipeline_parallel
    where = f"{gpus} x {chosen.request.accelerator.name}" if gpus > 1 else chosen.request.accelerator.name
    if memory.pool <= 0:
        beside = memory.adapters + memory.overhead
        yield (
            f"{memory.weights:.2f} GiB of weights and {beside:.2f} GiB beside them "
            f"do not fit the {memory.requested:.2f} GiB that the engine takes of each GPU of {where}"
            f"{_blamed_on_adapters(numbers)}"
        )
    elif pool.concurrency(chosen.context) < 1:
        longest = pool.longest(chosen.request.model.max_context)
        shorter = f"the largest context that fits is {longest} tokens" if longest > 0 else "no length fits"
        yield (
            f"one request of {chosen.context} tokens needs {pool.needed_gib(chosen.context):.2f} GiB of KV "
            f"cache on {where}, and {memory.pool:.2f} GiB are left: {shorter}"
            f"{_blamed_on_adapters(numbers)}"
        )


def _too_many_sequences(numbers: Numbers) -> Iterator[str]:
    """More at once than the states of recurrent layers have blocks for."""
    asked, most = numbers.chosen.request.max_num_seqs, most_sequences(numbers.chosen, numbers.pools)
    if asked is None or most is None or asked <= most or most < 1:
        return
    name = numbers.chosen.request.model.name
    yield (
        f"max_num_seqs {asked} is more than the {most} blocks of the KV pool, and each sequence of {name} "
        f"needs one for the state of its recurrent layers: the engine would not start. Set at most {most}"
    )


def _blamed_on_adapters(numbers: Numbers) -> str:
    """What is kept for adapters, where that is why it does not fit, and how many would."""
    memory, pool = numbers.memories[numbers.tightest], numbers.pools[numbers.tightest]
    kept = numbers.chosen.request.adapters
    room = memory.pool + memory.adapters - pool.needed_gib(numbers.chosen.context)
    if kept is None or memory.adapters == 0 or room < 0:
        return ""
    fitting = int(room / (memory.adapters / kept.slots))
    most = f"room for {fitting} of that rank" if fitting > 0 else "no room for one of that rank"
    return (
        f". Without the {memory.adapters:.2f} GiB kept for {kept.text} it would fit, with {most}: serve "
        "fewer, or train them with a lower rank"
    )


def _answer(numbers: Numbers, refusals: Sequence[str]) -> Fit:
    chosen, index = numbers.chosen, numbers.tightest
    memory, pool = numbers.memories[index], numbers.pools[index]
    longest = min(one.longest(chosen.request.model.max_context) for one in numbers.pools)
    return Fit(
        fits=not refusals,
        reason="; ".join(refusals),
        usable_gib=memory.usable,
        requested_gib=memory.requested,
        weights_gib=memory.weights,
        adapters_gib=memory.adapters,
        overhead_gib=memory.overhead,
        kv_pool_gib=memory.pool,
        kv_bytes_per_token=growth_per_token(chosen),
        kv_tokens=reported_tokens(chosen, pool),
        max_concurrency=pool.concurrency(chosen.context),
        max_context=longest,
        max_num_seqs=requests_at_once(chosen, numbers.pools),
        most_sequences=most_sequences(chosen, numbers.pools),
        uncertainty_pct=memory.uncertainty_pct,
        warnings=tuple(_warnings(numbers)),
        lines=(*memory.lines, *_cache_lines(numbers)),
    )


def _warnings(numbers: Numbers) -> Iterator[str]:
    chosen, index = numbers.chosen, numbers.tightest
    request, memory = chosen.request, numbers.memories[index]
    yield from without_native_units(request.accelerator, chosen.quantization)
    if RISKY_UTILIZATION < chosen.utilization <= 1:
        yield (
            f"gpu_memory_utilization {chosen.utilization:g} is above {RISKY_UTILIZATION}: the sampler's "
            "warm-up may run out of memory at start"
        )
    concurrency = numbers.pools[index].concurrency(chosen.context)
    if 1 <= concurrency < 1 + memory.uncertainty_pct / 100:
        yield (
            f"the KV pool is only just large enough and known to +-{memory.uncertainty_pct:g} %: the engine "
            "may refuse to start"
        )
    uncounted = request.model.architecture.adapters.uncounted
    if request.adapters is not None and uncounted:
        yield f"memory of adapters is too small: {uncounted} take them too and are not counted"
    if request.engine in ("sglang", "tgi"):
        yield f"memory of {request.engine} is estimated: {chosen.release.source}"
    if request.tensor_parallel > 2 and request.accelerator.interconnect == "pcie":
        yield (
            f"{request.accelerator.name} has no NVLink: beyond tensor_parallel 2 the exchange between GPUs "
            "takes most of a step; pipeline_parallel costs less"
        )


def _cache_lines(numbers: Numbers) -> Iterator[Line]:
    chosen, index = numbers.chosen, numbers.tightest
    pool = numbers.pools[index]
    found = pool.layout
    groups = ", ".join(f"{group.count} of {group.block_tokens} tokens" for group in found.groups)
    yield Line("block", None, f"{found.block_bytes} bytes; groups of layers: {groups} per block")
    yield Line("blocks", None, f"{pool.blocks} in the pool")
    per_request = found.blocks(chosen.context)
    yield Line(
        "one request",
        None,
        f"{per_request} blocks for {chosen.context} tokens, {pool.needed_gib(chosen.context):.2f} GiB",
    )

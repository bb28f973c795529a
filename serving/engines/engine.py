"""What the platform has to know of an inference engine: one frozen contract, which everything else reads.

An engine is one file beside this one and a line of the table in `serving/engines/__init__.py`. Nothing here
needs Pulumi: the plan, which runs without it, asks which engines there are and what each can do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from serving.gateway.served import Upstream
from serving.replica import PRE_STOP_SECONDS, Replica
from sizing.fit.request import Engine as Memory
from sizing.models.task import Task

Feature = Literal[
    "adapters",
    "allowed_media_domains",
    "chat_template_kwargs",
    "max_output_tokens",
    "quantization",
    "reasoning",
    "tool_calls",
]
"""Fields of a model in the stack file that not every engine can act on."""


@dataclass(frozen=True)
class Probe:
    """What a kubelet asks: `asks` is a path on the engine's HTTP port, or a command that ends with 0."""

    asks: str | tuple[str, ...]
    period_seconds: int
    failure_threshold: int
    timeout_seconds: int


@dataclass(frozen=True)
class Probes:
    """The three questions of a kubelet to one replica."""

    startup: Probe
    readiness: Probe
    liveness: Probe


@dataclass(frozen=True)
class Compiled:
    """What an engine compiles for one model, kept for the next replica: its folder, and size of its claim."""

    folder: str
    gib: int


@dataclass(frozen=True)
class EngineMetrics:
    """Where an engine's signals come from: the series it exposes, as scraped from one replica.

    waiting_for_capacity is a selector; everything else is a series name. first_token_buckets is a histogram's
    `_bucket`, in seconds; None where the engine does not time its first tokens, so that the gateway has to.
    own_label is a label that every series of the engine itself carries: some routers copy the engines' series
    under the same name without it, and would count everything twice. dropped: patterns of names that are not
    kept.
    """

    own_label: str
    running: str
    waiting: str
    waiting_for_capacity: str
    kv_cache_usage: str
    generation_tokens: str
    prompt_tokens: str
    first_token_buckets: str | None
    dropped: Sequence[str] = ()


@dataclass(frozen=True)
class StartLog:
    """Lines of an engine's log that tell its start. started: the last of them; what follows are requests.

    weights, compiled, captured: with the seconds of a stage in their first group; from_cache: compiled code
    was read. None for a stage that the log does not tell.
    """

    started: re.Pattern[str]
    weights: re.Pattern[str] | None = None
    compiled: re.Pattern[str] | None = None
    captured: re.Pattern[str] | None = None
    from_cache: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Engine:
    """One engine.

    name: what a stack file calls it. image: its row of images.yaml. user: the one its container runs as.
    memory: whose constants tell how it divides GPU memory (sizing/fit/data). tasks, features: what it can do;
    what else a stack file asks of it is refused. adapter_ranks: sizes in which it keeps room for adapters.
    upstream: how the gateway talks to it. metrics_port, metrics: where its signals come from; the port may be
    the one of its API. checks_names: whether it refuses a model that it does not serve; one that does not is
    asked what it serves at the end of an update.
    scratch: folder that is gone with the pod. compiled: folder that is not; None if it keeps nothing.
    exit_seconds: from the end of its drain to the kill; 0 where the drain has no limit of its own, and the
    kill ends it. start_log: by which the stages of a start are told.
    arguments, environment, probes: of the container of a replica. startup_seconds: how long a start may take
    before it counts as failed.
    """

    name: str
    image: str
    user: int
    memory: Memory
    tasks: frozenset[Task]
    features: frozenset[Feature]
    adapter_ranks: Sequence[int]
    upstream: Upstream
    metrics_port: int
    metrics: EngineMetrics
    checks_names: bool
    scratch: str
    compiled: Compiled | None
    exit_seconds: int
    start_log: StartLog
    arguments: Callable[[Replica], Sequence[str]]
    environment: Callable[[Replica], Mapping[str, str]]
    probes: Callable[[Replica], Probes]
    startup_seconds: Callable[[Replica], int]

    @property
    def has_metrics_port(self) -> bool:
        """Whether metrics are on a port of their own."""
        return self.metrics_port != self.upstream.port

    def grace_seconds(self, replica: Replica) -> int:
        """From being told to stop to being killed: all that happens in between, and a margin."""
        return PRE_STOP_SECONDS + replica.drain_seconds + self.exit_seconds

    @property
    def kill_seconds(self) -> int:
        """The same for one that is dead or stuck, which has nothing to drain."""
        return PRE_STOP_SECONDS + self.exit_seconds

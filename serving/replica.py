"""One replica of a model, in words that every engine understands."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.scheduling import MachineShare
from serving.weights.sources import Weights
from sizing.models.chat import ChatFormat
from sizing.models.models import Model
from sizing.models.task import Task

PRE_STOP_SECONDS = 10
"""How long a leaving replica keeps serving new requests. A gateway sends more until it notices that the
endpoint is gone: DNS answers live for 5 s on EKS, and the gateway asks every 5 s. Where they live longer, its
retries cover the rest."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that is served beside the model. name: what clients send as `model`.

    source, revision: its repository on the hub and the commit. rank: of its matrices.
    """

    name: str
    source: str
    revision: str
    rank: int


@dataclass(frozen=True)
class Replica:
    """One replica: its model, how it is split over GPUs, and the limits it works within.

    name: of its Service and Deployment. engine: what runs it, by the name in the table of engines.
    served_names: what clients may send as `model`, the first is what it calls itself; a canary answers to the
    names of its model. task: what it does.
    weights: where its files come from. adapters: what is served beside it.
    quantization: precision to reach while loading; None serves the checkpoint as it is.
    max_model_len: tokens of prompt and reply together. max_output_tokens: tokens of one reply, whatever a
    request asks for; None leaves it to max_model_len. max_num_seqs: requests computed at once.
    max_queued_requests: requests that may wait beyond those; more are refused.
    gpu_memory_utilization: share of the usable GPU memory that the engine takes.
    drain_seconds: how long requests in flight may go on once the replica is told to stop.
    ttft_seconds, itl_seconds: latencies that the service level names; they become histogram edges. Without
    tokens there is no itl_seconds.
    share: GPUs, CPU and memory of the machine that it may use. chat: how tools and thoughts are read.
    allowed_media_domains: whose images, sounds and films the engine fetches by address; none by default.
    stuck_after_seconds: for how long an engine that has requests may compute nothing before it counts as
    stuck.
    """

    name: str
    engine: str
    served_names: tuple[str, ...]
    task: Task
    model: Model
    weights: Weights
    adapters: tuple[Adapter, ...]
    tensor_parallel: int
    quantization: str | None
    max_model_len: int
    max_output_tokens: int | None
    max_num_seqs: int
    max_queued_requests: int
    gpu_memory_utilization: float
    drain_seconds: int
    ttft_seconds: float
    itl_seconds: float | None
    share: MachineShare
    chat: ChatFormat = field(default_factory=ChatFormat)
    allowed_media_domains: tuple[str, ...] = ()
    stuck_after_seconds: int = 120

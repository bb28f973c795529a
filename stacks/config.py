"""What a stack file may say: the one vocabulary of the platform, as frozen models.

Each model describes one object of the file. A field's description is what its error message says, so it
states meaning, unit and bounds. Rules that need more than one field, or a table, are in stacks/checks.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME_RULE = "a DNS label of at most 40 characters: a-z, 0-9 and -, starting with a letter"
"""Kubernetes allows 63 and itself adds suffixes of up to 23 to the names of pods and machines."""

Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40, description=NAME_RULE)]

Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Capacity = Literal["reserved", "on-demand", "spot"]


class Section(BaseModel):
    """Base of every object in a stack file: unknown keys are refused, nothing is coerced, nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LocalCluster(Section):
    """A cluster on this machine, started by `make up`."""

    provider: Literal["local"] = Field(description="where the cluster runs")
    name: Name = Field(description=f"identity of the cluster in Pulumi's state; {NAME_RULE}")
    kubeconfig: str = Field(
        min_length=1, description="path of the kubeconfig file, relative to the folder of Pulumi.yaml"
    )
    node_startup_seconds: int = Field(
        ge=0, le=600, description="seconds from buying an imitated machine to its joining the cluster"
    )


class NodePool(Section):
    """Machines of one accelerator that scale together."""

    name: Name
    accelerator: str = Field(description="a row of infra/data/accelerators.yaml")
    machine_types: tuple[str, ...] = Field(
        min_length=1,
        strict=False,
        description="machine types that carry the accelerator",
    )
    capacity: tuple[Capacity, ...] = Field(
        min_length=1, strict=False, description="how machines are bought, in order of preference"
    )
    min_nodes: int = Field(default=0, ge=0, le=1000, description="machines kept even when no pod needs them")
    max_nodes: int = Field(ge=1, le=1000, description="machines at most: the limit of what the pool can cost")
    warm_nodes: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="machines kept ready beyond those in use, so that a new replica need not wait for one",
    )
    warm_capacity: Literal["placeholder_pods", "capacity_buffer"] = Field(
        default="placeholder_pods",
        description="what keeps warm_nodes: pods that give way, or a CapacityBuffer (Karpenter from 1.13 on)",
    )
    scale_down_after_seconds: int = Field(
        ge=0, le=86400, description="seconds that a machine stays empty before it is given back"
    )


class Replicas(Section):
    """How many engines serve a model."""

    min: int = Field(ge=0, le=1000, description="replicas at least, 0 to 1000; with 0 the model may sleep")
    max: int = Field(ge=1, le=1000, description="replicas at most, 1 to 1000")


class LatencyObjective(Section):
    """A latency and the share of requests that must keep it."""

    seconds: Seconds = Field(description="latency in seconds, above 0")
    objective: Fraction = Field(description="share of requests that keep it, above 0 and below 1")


class ServiceLevel(Section):
    """What users of a model are promised."""

    ttft: LatencyObjective = Field(description="time to first token")
    itl: LatencyObjective = Field(description="inter-token latency")
    availability: Fraction = Field(description="share of requests answered, above 0 and below 1")


class ExpectedLoad(Section):
    """The load that the model is planned for."""

    requests_per_second: float = Field(
        gt=0, le=100_000, allow_inf_nan=False, description="arrivals per second, above 0"
    )
    prompt_tokens: int = Field(ge=1, description="tokens of a typical prompt")
    output_tokens: int = Field(ge=1, description="tokens of a typical reply")


class Model(Section):
    """One model behind the gateway."""

    name: Name = Field(description=f"what clients send as `model`, and the Kubernetes name; {NAME_RULE}")
    engine: Literal["vllm"] = Field(description="inference engine")
    model: str = Field(description="Hugging Face id, a row of serving/data/models.yaml")
    revision: (
        Annotated[
            str,
            Field(
                pattern=r"^[0-9a-f]{40}$",
                description="a commit of the model's repository, 40 hexadecimal digits in quotes",
            ),
        ]
        | None
    ) = None
    node_pool: str = Field(description="name of an entry of node_pools")
    tensor_parallel: int = Field(
        default=1, ge=1, le=64, description="GPUs that one replica is split over, on one machine"
    )
    quantization: Literal["fp8"] | None = Field(
        default=None,
        description="precision to quantise to while loading; without it the checkpoint is served as it is",
    )
    max_model_len: int = Field(ge=256, description="tokens of prompt and reply together, at least 256")
    max_output_tokens: Annotated[int, Field(ge=1, description="tokens of one reply at most")] | None = Field(
        default=None,
        description="tokens of one reply at most; left out, max_model_len is the only limit",
    )
    max_num_seqs: (
        Annotated[
            int,
            Field(
                ge=1,
                le=4096,
                description="requests that one replica computes at once, 1 to 4096; left out, it follows "
                "from slo and expected_load",
            ),
        ]
        | None
    ) = None
    max_queued_requests: int = Field(
        ge=1, le=100_000, description="requests that may wait in one replica; more are refused with 503"
    )
    gpu_memory_utilization: float = Field(
        default=0.92, ge=0.1, le=0.95, description="share of GPU memory that the engine takes, 0.1 to 0.95"
    )
    drain_seconds: int = Field(
        ge=1, le=3600, description="seconds that requests in flight get to finish when their replica leaves"
    )
    replicas: Replicas
    warm_replicas: int = Field(
        default=0, ge=0, le=100, description="hot replicas kept beyond what the load needs, 0 to 100"
    )
    scale_down_stabilization_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        description="seconds for which a lower number of replicas must hold before any leaves, 0 to 3600",
    )
    sleep_after_seconds: int = Field(
        default=600,
        ge=10,
        le=86400,
        description="seconds without a request until a model with replicas.min 0 sleeps, 10 to 86400",
    )
    when_asleep: Literal["report", "wake"] = Field(
        default="report",
        description="what the check at the end of an update does with a model that sleeps: report or wake",
    )
    slo: ServiceLevel
    expected_load: ExpectedLoad


class Gateway(Section):
    """The OpenAI-compatible entrance."""

    replicas: int = Field(ge=1, le=100, description="gateway pods, 1 to 100")
    max_request_mib: int = Field(ge=1, le=100, description="largest request body in MiB, 1 to 100")


class Stack(Section):
    """A whole environment: everything that a stack file says."""

    cluster: LocalCluster
    node_pools: tuple[NodePool, ...] = Field(min_length=1, strict=False, description="list of GPU node pools")
    models: tuple[Model, ...] = Field(min_length=1, strict=False, description="list of models to serve")
    gateway: Gateway

    def pool(self, name: str) -> NodePool:
        """The node pool called `name`. The stack must have passed stacks.checks."""
        return next(pool for pool in self.node_pools if pool.name == name)

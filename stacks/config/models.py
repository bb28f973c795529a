"""`models`: what is served, on which pool, for which load, and what its users are promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from serving.engines import ENGINES
from stacks.config.chat import Reasoning, TemplateArguments, ToolCalls
from stacks.config.effect import NoEffectYet
from stacks.config.section import NAME_RULE, Fraction, Name, Seconds, Section, Way

MOST_TOKENS = 10_000_000
"""Ten times the longest context of any model: what is above is a slip of the finger."""


class Replicas(Section, frozen=True):
    """How many engines serve a model."""

    min: int = Field(ge=0, le=1000, description="replicas at least, 0 to 1000; with 0 the model may sleep")
    max: int = Field(ge=1, le=1000, description="replicas at most, 1 to 1000")


class LatencyObjective(Section, frozen=True):
    """A latency and the share of requests that must keep it."""

    seconds: Seconds = Field(description="latency in seconds, above 0")
    objective: Fraction = Field(description="share of requests that keep it, above 0 and below 1")


class TokenLatency(LatencyObjective, frozen=True):
    """The same for the time between two tokens."""

    objective: Fraction = Field(
        description="share of requests that keep it, above 0 and below 1",
        json_schema_extra=NoEffectYet("nothing counts the requests that keep the latency between tokens"),
    )


class ServiceLevel(Section, frozen=True):
    """What users of a model are promised."""

    ttft: LatencyObjective = Field(
        description="time to first token; with task embed or rerank the time to the answer"
    )
    itl: TokenLatency | None = Field(
        default=None, description="inter-token latency; only with task generate, which needs it"
    )
    availability: Fraction = Field(description="share of requests answered, above 0 and below 1")


class ExpectedLoad(Section, frozen=True):
    """The load that the model is planned for."""

    requests_per_second: float = Field(
        gt=0,
        le=100_000,
        allow_inf_nan=False,
        description="arrivals per second, above 0",
    )
    prompt_tokens: int = Field(
        ge=1,
        le=MOST_TOKENS,
        description="tokens of a typical prompt, at least 1; with task embed or rerank of one text, or of "
        "one document with its query",
    )
    inputs: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="with task embed or rerank the texts or documents that a typical request brings, 1 to "
        "10000",
    )
    output_tokens: int = Field(
        default=0,
        ge=0,
        le=MOST_TOKENS,
        description="tokens of a typical reply; only with task generate, which needs it",
    )


def _known_engine(name: str) -> str:
    if name not in ENGINES:
        expected = ", ".join(f"'{known}'" for known in ENGINES)
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
    return name


EngineName = Annotated[
    str, AfterValidator(_known_engine), WithJsonSchema({"enum": sorted(ENGINES), "type": "string"})
]


Revision = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{40}$",
        description="a commit of the model's repository, 40 hexadecimal digits in quotes",
    ),
]

PublicName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$",
        max_length=96,
        description="what clients send as `model`: at most 96 letters, digits and . _ : / -",
    ),
]


Domain = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}$",
        max_length=253,
        description="a DNS name in lower case, such as images.example.com; not an address, not a pattern",
    ),
]


class Adapter(Section, frozen=True):
    """A LoRA adapter that the engine serves beside its model, under a name of its own."""

    name: PublicName
    source: str = Field(min_length=1, description="Hugging Face id of the adapter")
    revision: Revision
    rank: int = Field(
        ge=1,
        le=512,
        description="rank of its matrices, `r` in its adapter_config.json, 1 to 512; memory is kept for the "
        "largest",
    )


class Canary(Section, frozen=True):
    """Another revision of the model that serves a share of its requests. Removed, all go back."""

    revision: Revision
    weight: int = Field(ge=0, le=100, description="per cent of the requests that it serves, 0 to 100")


class Model(Section, frozen=True):
    """One model behind the gateway."""

    name: Name = Field(description=f"what clients send as `model`, and the Kubernetes name; {NAME_RULE}")
    engine: EngineName = Field(description="inference engine")
    model: str = Field(description="Hugging Face id, a row of sizing/models/data/models.yaml")
    revision: Revision | None = None
    task: Literal["generate", "embed", "rerank"] = Field(
        default="generate",
        description="what it does, and so its paths: generate (chat and completions), embed or rerank",
    )
    weights: str = Field(
        default="hub",
        pattern=r"^(hub|(s3|gs)://[a-z0-9][a-z0-9.-]+/.+|pvc://[a-z0-9-]+(/.+)?|oci://.+@sha256:[0-9a-f]{64})$",
        description="where the weights come from: hub, s3://bucket/folder, gs://bucket/folder, "
        "pvc://claim/folder or oci://image@sha256:digest",
    )
    aliases: tuple[PublicName, ...] = Field(
        default=(), strict=False, description="other names under which clients may ask for it"
    )
    adapters: tuple[Adapter, ...] = Field(
        default=(), strict=False, description="LoRA adapters that its engines serve as models of their own"
    )
    allowed_media_domains: tuple[Domain, ...] = Field(
        default=(),
        strict=False,
        description="domains from which the engine may fetch images, sounds and films that a request names "
        "by address, such as images.example.org: lower case, no scheme, no port, no *; left out, it fetches "
        "nothing and requests send data: URLs",
    )
    canary: Canary | None = Field(
        default=None, description="another revision that serves a share of the requests"
    )
    fallback: str | None = Field(
        default=None,
        description="name of another model with the same task that answers while this one is overloaded or "
        "has no replica",
    )
    tool_calls: ToolCalls | None = Field(
        default=None,
        description="how calls of tools are found; left out, as the model's row in sizing/models/data says",
    )
    reasoning: Reasoning | None = Field(
        default=None,
        description="how thoughts are found, and whether the model thinks; left out, as the row says",
    )
    chat_template_kwargs: TemplateArguments | None = Field(
        default=None,
        description="arguments of the chat template, such as {enable_thinking: false}, for every request "
        "that does not set them",
    )
    node_pool: str = Field(description="name of an entry of node_pools")
    tensor_parallel: int = Field(
        default=1, ge=1, le=64, description="GPUs that one replica is split over, on one machine"
    )
    quantization: Literal["fp8"] | None = Field(
        default=None,
        description="precision to quantise to while loading; without it the checkpoint is served as it is",
    )
    max_model_len: int = Field(
        ge=256, le=MOST_TOKENS, description="tokens of prompt and reply together, at least 256"
    )
    max_output_tokens: (
        Annotated[int, Field(ge=1, le=MOST_TOKENS, description="tokens of one reply at most")] | None
    ) = Field(
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

    def without_effect(self) -> Iterator[tuple[Way, str]]:
        least, most = self.replicas.min, self.replicas.max
        if self.weights != "hub":
            yield ("revision",), f"weights come from {self.weights}, which is of one revision"
        if least == most:
            fixed = f"replicas.min and replicas.max are both {least}"
            yield ("warm_replicas",), fixed
            yield ("scale_down_stabilization_seconds",), fixed
        if least > 0:
            for name in ("sleep_after_seconds", "when_asleep"):
                yield (name,), f"the model never sleeps with replicas.min {least}"

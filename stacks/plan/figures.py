"""A plan: the objects that are registered, their figures, and these as plain values for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

from dashboards.recording_rules import ScaledModel
from infra.kubernetes_version import KubernetesVersion
from infra.scheduling import NodePool
from serving.gateway.served import ServedModel
from serving.replica import Replica
from serving.scaling import ScalingBounds
from sizing.capacity.batch import ReplicaCapacity
from sizing.cost import Span, TokenPrice, total
from sizing.cost_curve import AtRate, Curve
from sizing.fit import Fit
from sizing.models.chat import ChatFormat
from stacks.config import Budget, Ineffective
from stacks.plan.cheaper import Cheaper


@dataclass(frozen=True)
class ModelPlan:
    """One Deployment: the objects that are registered for it, how many replicas there are, what they cost.

    replica, scaling, recorded, surge, when_asleep: what the Deployment, its autoscaler, its recording rules,
    its updates and its verification are made from. served: how clients see the model; None for a canary,
    which is seen as its model. pool: where it runs. machine: that its pool buys. capacity: of a replica.
    replicas_min: without load, hot spares included. replicas_expected: under expected_load. usd_per_hour: its
    share of the machines it is on. tokens: price of a million at the plan's utilization. by_rate: the same at
    given rates of requests, with the model alone on its pool. cheaper: a machine that would cost less, if
    any.
    """

    replica: Replica
    scaling: ScalingBounds
    recorded: ScaledModel
    served: ServedModel | None
    surge: int
    when_asleep: Literal["report", "wake"]
    pool: NodePool
    machine: str
    capacity: ReplicaCapacity
    replicas_min: int
    replicas_expected: int
    usd_per_hour: Span
    tokens: TokenPrice
    by_rate: Curve
    fit: Fit
    cheaper: Cheaper | None

    @property
    def name(self) -> str:
        return self.replica.name

    @property
    def model(self) -> str:
        """Hugging Face id, or the path of a config.json."""
        return self.replica.model.name

    @property
    def engine(self) -> str:
        return self.recorded.engine

    @property
    def is_woken(self) -> bool:
        """Whether a verification waits for it to wake up."""
        return self.when_asleep == "wake" and self.scaling.minimum == 0

    @property
    def node_pool(self) -> str:
        return self.pool.name

    @property
    def accelerator(self) -> str:
        return self.pool.accelerator.name

    @property
    def tensor_parallel(self) -> int:
        return self.replica.tensor_parallel

    @property
    def max_num_seqs(self) -> int:
        """Requests that a replica computes at once."""
        return self.replica.max_num_seqs

    @property
    def requests_per_second(self) -> float:
        """What one replica is planned for."""
        return self.capacity.planned_rate

    @property
    def timing(self) -> str:
        """Whether the figures rest on measured or on estimated step times."""
        return self.capacity.basis

    @property
    def replicas_max(self) -> int:
        return self.scaling.maximum

    @property
    def chat(self) -> ChatFormat | None:
        """How tools and thoughts are read; None for a model that does not generate."""
        return self.replica.chat if self.replica.task == "generate" else None

    @property
    def gpus(self) -> Span:
        """GPUs that its replicas hold."""
        return Span(self.replicas_min, self.replicas_expected, self.replicas_max).times(self.tensor_parallel)


@dataclass(frozen=True)
class PoolPlan:
    """One node pool: the object that is registered for it, its machines and their cost.

    warm_nodes, warm_capacity: machines kept ready, and by what. machine: the type that is bought while there
    is some. usd_per_machine_hour: bought in the preferred way, with its disk. max_nodes_by_capacity: how
    max_nodes is shared out among capacity types, in order of preference. capacity_not_sold: types without
    effect, because the cluster sells none. machines: the warm ones included.
    gpus: that replicas hold. Whole machines are charged, so every other GPU is paid for and idle.
    """

    node_pool: NodePool
    warm_nodes: int
    warm_capacity: Literal["placeholder_pods", "capacity_buffer"]
    machine: str
    usd_per_machine_hour: float
    gpus_per_machine: int
    max_nodes_by_capacity: Mapping[str, int]
    capacity_not_sold: tuple[str, ...]
    machines: Span
    warm_machines: Span
    gpus: Span
    usd_per_hour: Span
    warm_usd_per_hour: Span

    @property
    def name(self) -> str:
        return self.node_pool.name

    @property
    def gpus_idle_min(self) -> float:
        """GPUs at minimum that nobody uses, on machines that some replica or min_nodes keeps."""
        in_use = self.machines.minimum - self.warm_machines.minimum
        return in_use * self.gpus_per_machine - self.gpus.minimum

    @property
    def usd_per_hour_idle_min(self) -> float:
        """The share of those GPUs in the price of their machines."""
        return self.gpus_idle_min / self.gpus_per_machine * self.usd_per_machine_hour


@dataclass(frozen=True)
class FixedCost:
    """What the environment costs beside GPU machines: control plane, system machines, NAT."""

    label: str
    usd_per_hour: Span


@dataclass(frozen=True)
class PriceSource:
    """Where the price of one thing in the plan comes from."""

    what: str
    region: str
    as_of: date


@dataclass(frozen=True)
class Plan:
    """A whole environment. Prices are list prices, unless the stack overrides them.

    region: of the cluster; None where it has none. kubernetes: its release, where it is known. utilization:
    share of a replica's throughput that the price of tokens rests on. spot_without_price: machines planned at
    their on-demand price instead. no_effect_yet: fields that the file sets and that change nothing.
    """

    cluster: str
    provider: str
    region: str | None
    kubernetes: KubernetesVersion | None
    models: tuple[ModelPlan, ...]
    pools: tuple[PoolPlan, ...]
    fixed: tuple[FixedCost, ...]
    utilization: float
    budget: Budget | None
    prices: tuple[PriceSource, ...]
    spot_without_price: tuple[str, ...]
    not_included: tuple[str, ...]
    no_effect_yet: tuple[Ineffective, ...]

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The models that clients see."""
        return tuple(model.served for model in self.models if model.served is not None)

    @property
    def gpu_usd_per_hour(self) -> Span:
        return total(pool.usd_per_hour for pool in self.pools)

    @property
    def unused_usd_per_hour(self) -> Span:
        """Machines that no replica is on: warm ones, and those that min_nodes keeps."""
        left = self.gpu_usd_per_hour + total(model.usd_per_hour for model in self.models).times(-1)
        # Shares add up to the bill but for the last bit, which must not show as -0.
        return Span(max(left.minimum, 0.0), max(left.expected, 0.0), max(left.maximum, 0.0))

    @property
    def usd_per_hour(self) -> Span:
        return self.gpu_usd_per_hour + total(cost.usd_per_hour for cost in self.fixed)

    @property
    def prices_as_of(self) -> date:
        """Day of the oldest price."""
        return min(price.as_of for price in self.prices)

    @property
    def price_regions(self) -> tuple[str, ...]:
        return tuple(sorted({price.region for price in self.prices}))

    def exported(self) -> dict[str, object]:
        """The plan as plain values. Nothing in it depends on the day it is made."""
        return {
            "models": [_exported_model(model) for model in self.models],
            "node_pools": [_exported_pool(pool) for pool in self.pools],
            "fixed": [
                {"label": cost.label, "usd_per_hour": rounded(asdict(cost.usd_per_hour))}
                for cost in self.fixed
            ],
            "unused_usd_per_hour": rounded(asdict(self.unused_usd_per_hour)),
            "usd_per_hour": rounded(asdict(self.usd_per_hour)),
            "usd_per_month": rounded(asdict(self.usd_per_hour.per_month)),
            "utilization": self.utilization,
            "budget": None if self.budget is None else self.budget.model_dump(),
            "price_region": ", ".join(self.price_regions),
            "prices_as_of": self.prices_as_of.isoformat(),
            "spot_without_price": list(self.spot_without_price),
            "not_included": list(self.not_included),
            "no_effect_yet": [asdict(field) for field in self.no_effect_yet],
        }


MODEL_FIGURES = (
    *("name", "model", "engine", "node_pool", "machine", "accelerator", "tensor_parallel", "max_num_seqs"),
    *("requests_per_second", "timing", "replicas_min", "replicas_expected", "replicas_max"),
)
POOL_FIGURES = (
    *("name", "machine", "usd_per_machine_hour", "gpus_per_machine", "max_nodes_by_capacity"),
    *("capacity_not_sold", "gpus_idle_min", "usd_per_hour_idle_min"),
)
POOL_SPANS = ("machines", "warm_machines", "gpus", "usd_per_hour", "warm_usd_per_hour")


def _exported_model(model: ModelPlan) -> dict[str, object]:
    return {
        **{key: rounded(getattr(model, key)) for key in MODEL_FIGURES},
        "usd_per_hour": rounded(asdict(model.usd_per_hour)),
        "usd_per_month": rounded(asdict(model.usd_per_hour.per_month)),
        "usd_per_million_output_tokens": rounded(model.tokens.output_usd),
        "usd_per_million_total_tokens": rounded(model.tokens.total_usd),
        "price_by_rate": [_exported_rate(rate, at) for rate, at in model.by_rate.points],
        "requests_per_second_most": rounded(model.by_rate.most),
        "fit": {key: rounded(value) for key, value in model.fit.as_json().items()},
        "chat": None if model.chat is None else asdict(model.chat),
        "cheaper": None if model.cheaper is None else rounded(asdict(model.cheaper)),
    }


def _exported_rate(rate: float, at: AtRate | None) -> dict[str, object]:
    """A point of the curve; all but the rate are None where the bounds do not carry it."""
    return {
        "requests_per_second": rate,
        "replicas": None if at is None else at.replicas,
        "machines": None if at is None else at.machines,
        "usd_per_hour": None if at is None else rounded(at.usd_per_hour),
        "usd_per_million_output_tokens": None if at is None else rounded(at.tokens.output_usd),
        "usd_per_million_total_tokens": None if at is None else rounded(at.tokens.total_usd),
    }


def _exported_pool(pool: PoolPlan) -> dict[str, object]:
    return {
        **{key: rounded(getattr(pool, key)) for key in POOL_FIGURES},
        **{key: rounded(asdict(getattr(pool, key))) for key in POOL_SPANS},
    }


def rounded(value: object) -> object:
    """Floats to a hundredth of a cent, also inside a mapping: what differs below is no difference."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: rounded(part) for key, part in value.items()}
    return value

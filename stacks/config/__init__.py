"""What a stack file may say: the one vocabulary of the platform, as frozen models.

Each model describes one object of the file. A field's description is what its error message says, so it
states meaning, unit and bounds. Rules that need more than one field, or a table, are in stacks/validate/.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from stacks.config.budget import DEFAULT_UTILIZATION, TAG_RULE, Budget, PriceOverride, TagKey, TagValue
from stacks.config.cluster import (
    AwsCluster,
    Cluster,
    ExistingCluster,
    GcpCluster,
    LocalCluster,
    NodeAutoscaler,
    SystemNodes,
)
from stacks.config.effect import Ineffective, NoEffectYet, effective_json, ineffective
from stacks.config.gateway import Gateway, Public, Rate, RateLimit, Tokens
from stacks.config.models import (
    Adapter,
    Canary,
    ExpectedLoad,
    LatencyObjective,
    Model,
    Replicas,
    ServiceLevel,
)
from stacks.config.node_pools import Capacity, NodePool
from stacks.config.observability import BurnRateAlert, Observability
from stacks.config.section import NAME_RULE, Section, Way

__all__ = [
    "DEFAULT_UTILIZATION",
    "NAME_RULE",
    "Adapter",
    "AwsCluster",
    "Budget",
    "BurnRateAlert",
    "Canary",
    "Capacity",
    "Cluster",
    "ExistingCluster",
    "ExpectedLoad",
    "Gateway",
    "GcpCluster",
    "Ineffective",
    "LatencyObjective",
    "LocalCluster",
    "Model",
    "NoEffectYet",
    "NodeAutoscaler",
    "NodePool",
    "Observability",
    "PriceOverride",
    "Public",
    "Rate",
    "RateLimit",
    "Replicas",
    "Section",
    "ServiceLevel",
    "Stack",
    "SystemNodes",
    "Tokens",
    "effective_json",
    "ineffective",
]


class Stack(Section, frozen=True):
    """A whole environment: everything that a stack file says."""

    cluster: Cluster = Field(description="where everything runs; its key provider decides the others")
    node_pools: tuple[NodePool, ...] = Field(min_length=1, strict=False, description="list of GPU node pools")
    models: tuple[Model, ...] = Field(min_length=1, strict=False, description="list of models to serve")
    gateway: Gateway = Field(description="the OpenAI-compatible entrance")
    observability: Observability = Field(
        default=Observability(), description="how long metrics are kept, and what is alerted on"
    )
    budget: Budget | None = Field(
        default=None, description="what the environment may cost; left out, nothing is compared"
    )
    price_overrides: tuple[PriceOverride, ...] = Field(
        default=(), strict=False, description="prices that replace those of sizing/hardware/data"
    )
    tags: dict[TagKey, TagValue] = Field(
        default={},
        description="labels of everything that costs money, such as team and cost_center; keys and values "
        f"have {TAG_RULE}",
        json_schema_extra=NoEffectYet("nothing that is registered carries them"),
    )

    def pool(self, name: str) -> NodePool:
        """The node pool called `name`. The stack must have passed stacks.validate."""
        return next(pool for pool in self.node_pools if pool.name == name)

    @property
    def utilization(self) -> float:
        """Share of a replica's throughput that the price of a token rests on."""
        return DEFAULT_UTILIZATION if self.budget is None else self.budget.utilization

    def without_effect(self) -> Iterator[tuple[Way, str]]:
        charges = self.cluster.charges
        system = () if charges is None else (charges.system_nodes.machine_type,)
        bought = {*system, *(name for pool in self.node_pools for name in pool.machine_types)}
        for index, override in enumerate(self.price_overrides):
            name = override.machine_type
            if name not in bought:
                yield (
                    ("price_overrides", index),
                    f"no node pool and no system node is a {name}; the price only counts in advice on "
                    "cheaper machines",
                )
            elif override.spot_usd_per_hour is not None and not self._buys_spot(name):
                yield (
                    ("price_overrides", index, "spot_usd_per_hour"),
                    f"no node pool buys {name} as spot",
                )

    def _buys_spot(self, machine_type: str) -> bool:
        return "spot" in self.cluster.sells and any(
            machine_type in pool.machine_types and "spot" in pool.capacity for pool in self.node_pools
        )

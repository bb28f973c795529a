"""`node_pools`: which GPU machines may be bought, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.config.section import Name, Section, Way

Capacity = Literal["reserved", "on-demand", "spot"]
WarmCapacity = Literal["placeholder_pods", "capacity_buffer"]


class NodePool(Section, frozen=True):
    """Machines of one accelerator that scale together."""

    name: Name
    accelerator: str = Field(description="a row of sizing/hardware/data/accelerators.yaml")
    machine_types: tuple[str, ...] = Field(
        min_length=1,
        strict=False,
        description="machine types with the accelerator, rows of sizing/hardware/data/machines.<cloud>.yaml",
    )
    capacity: tuple[Capacity, ...] = Field(
        min_length=1,
        strict=False,
        description="how machines are bought, in order of preference: the next type when the one before is "
        "sold out or has its share of max_nodes",
    )
    min_nodes: int = Field(
        default=0, ge=0, le=1000, description="machines kept even when no pod needs them, 0 to 1000"
    )
    max_nodes: int = Field(
        ge=1, le=1000, description="machines at most, 1 to 1000: the limit of what the pool can cost"
    )
    disk_gib: (
        Annotated[
            int, Field(ge=50, le=16384, description="attached disk of each machine in GiB, 50 to 16384")
        ]
        | None
    ) = Field(
        default=None,
        description="attached disk of each machine in GiB, 50 to 16384, for images and weights; needed where "
        "the machine types bring no NVMe of their own",
    )
    warm_nodes: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="machines kept ready beyond those in use, 0 to 1000, so that a new replica need not wait",
    )
    warm_capacity: WarmCapacity = Field(
        default="placeholder_pods",
        description="what keeps warm_nodes: pods that give way, or a CapacityBuffer (Karpenter from 1.13 on, "
        "Cluster Autoscaler from 1.34 on, GKE)",
    )
    scale_down_after_seconds: int = Field(
        ge=0, le=86400, description="seconds that a machine stays empty before it is given back, 0 to 86400"
    )

    def without_effect(self) -> Iterator[tuple[Way, str]]:
        if self.warm_nodes == 0:
            yield ("warm_capacity",), "warm_nodes is 0"

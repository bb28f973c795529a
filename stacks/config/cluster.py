"""`cluster`: where everything runs. `provider` decides which keys there are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.kubernetes_version import LOCAL_RELEASE, KubernetesVersion, kubernetes_version
from stacks.config.effect import NoEffectYet
from stacks.config.node_pools import Capacity
from stacks.config.section import NAME_RULE, Name, Section

ClusterName = Annotated[Name, Field(description=f"identity of the cluster in Pulumi's state; {NAME_RULE}")]

Cidr = Annotated[
    str,
    Field(
        pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$",
        description='an IPv4 network such as "203.0.113.0/24", in quotes',
    ),
]

NOT_BUILT = NoEffectYet("clusters of this provider are planned only")

AllowedCidrs = Annotated[
    tuple[Cidr, ...],
    Field(
        strict=False,
        description="networks that reach the API server from outside; an empty list leaves it private",
        json_schema_extra=NOT_BUILT,
    ),
]

NodeAutoscaler = Literal["karpenter", "cluster-autoscaler"]

KubernetesRelease = Annotated[
    str, Field(pattern=r"^1\.\d{2}$", description='Kubernetes version, such as "1.36", in quotes')
]


class SystemNodes(Section, frozen=True):
    """Machines without GPUs, for what runs beside the models: gateway, autoscalers, Prometheus."""

    machine_type: str = Field(description="a row of sizing/hardware/data/system_machines.yaml")
    count: int = Field(ge=1, le=100, description="machines, 1 to 100; two or more survive the loss of a zone")


class AnyCluster(Section, frozen=True):
    """What holds for a cluster unless its own class says otherwise."""

    @property
    def buys_with_karpenter(self) -> bool:
        return True

    @property
    def sells(self) -> tuple[Capacity, ...]:
        """Capacity types that its machines can be bought as."""
        return ("reserved", "on-demand", "spot")


class LocalCluster(AnyCluster, frozen=True):
    """A cluster on this machine, started by `make up`. Its machines are imitations of AWS's."""

    provider: Literal["local"] = Field(description="where the cluster runs")
    name: ClusterName
    kubeconfig: str = Field(
        min_length=1, description="path of the kubeconfig file, relative to the folder of Pulumi.yaml"
    )
    node_startup_seconds: int = Field(
        ge=0, le=600, description="seconds from buying an imitated machine to its joining the cluster"
    )

    @property
    def kubernetes(self) -> KubernetesVersion:
        return LOCAL_RELEASE

    @property
    def sells(self) -> tuple[Capacity, ...]:
        return ("on-demand", "spot")


class AwsCluster(AnyCluster, frozen=True):
    """A cluster on EKS."""

    provider: Literal["aws"] = Field(description="where the cluster runs")
    name: ClusterName
    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region, such as us-east-1; prices follow it"
    )
    version: KubernetesRelease
    zones: int = Field(ge=2, le=6, description="availability zones that the network spans, 2 to 6")
    nat_gateways: Literal["one", "per_zone"] = Field(
        description="one for all zones, or per_zone: none of them then depends on another"
    )
    api_allowed_cidrs: AllowedCidrs
    node_autoscaler: NodeAutoscaler = Field(
        default="karpenter", description="what buys GPU machines; never two on one cluster"
    )
    system_nodes: SystemNodes

    @property
    def kubernetes(self) -> KubernetesVersion:
        return kubernetes_version(self.version)

    @property
    def buys_with_karpenter(self) -> bool:
        return self.node_autoscaler == "karpenter"


class GcpCluster(AnyCluster, frozen=True):
    """A cluster on GKE, whose own autoscaler buys the machines."""

    provider: Literal["gcp"] = Field(description="where the cluster runs")
    name: ClusterName
    project: str = Field(
        pattern=r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$",
        description="id of the Google Cloud project",
        json_schema_extra=NOT_BUILT,
    )
    region: str = Field(
        pattern=r"^[a-z]+-[a-z]+\d$",
        description="a Google Cloud region, such as us-central1; prices follow it",
    )
    release_channel: Literal["rapid", "regular", "stable", "extended"] = Field(
        description="how early the cluster gets new versions of Kubernetes", json_schema_extra=NOT_BUILT
    )
    api_allowed_cidrs: AllowedCidrs
    system_nodes: SystemNodes

    @property
    def kubernetes(self) -> None:
        """Not known before the update: Google chooses within the channel."""
        return

    @property
    def buys_with_karpenter(self) -> bool:
        return False


class ExistingCluster(AnyCluster, frozen=True):
    """A cluster that a team already has. Its control plane and system machines are not planned."""

    provider: Literal["existing"] = Field(description="where the cluster runs")
    name: ClusterName
    kubeconfig: str = Field(
        min_length=1,
        description="path of the kubeconfig file, relative to the folder of Pulumi.yaml",
        json_schema_extra=NOT_BUILT,
    )
    context: str = Field(
        min_length=1, description="name of the context in that file", json_schema_extra=NOT_BUILT
    )
    version: KubernetesRelease | None = Field(
        default=None,
        description="its Kubernetes version, which decides what an autoscaler may be told; left out, it is "
        "taken for an old one",
    )
    node_autoscaler: NodeAutoscaler = Field(description="what buys GPU machines there")

    @property
    def kubernetes(self) -> KubernetesVersion | None:
        return None if self.version is None else kubernetes_version(self.version)

    @property
    def buys_with_karpenter(self) -> bool:
        return self.node_autoscaler == "karpenter"


Cluster = Annotated[LocalCluster | AwsCluster | GcpCluster | ExistingCluster, Field(discriminator="provider")]

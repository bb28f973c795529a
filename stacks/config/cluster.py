"""`cluster`: where everything runs. `provider` decides which keys there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from infra.kubernetes_version import CAPACITY_BUFFERS, LOCAL_RELEASE, KubernetesVersion, kubernetes_version
from sizing.hardware.machines import CLOUDS, Cloud
from stacks.config.effect import NoEffectYet
from stacks.config.node_pools import Capacity, WarmCapacity
from stacks.config.section import NAME_RULE, Name, Section, Way

ClusterName = Annotated[Name, Field(description=f"identity of the cluster in Pulumi's state; {NAME_RULE}")]


def _network(cidr: str) -> str:
    try:
        IPv4Network(cidr)
    except ValueError as error:
        raise PydanticCustomError(
            "network",
            "is not a network: {reason}. Write its first address, such as 203.0.113.0/24",
            {"reason": str(error)},
        ) from None
    return cidr


Cidr = Annotated[
    str,
    Field(
        pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$",
        description='an IPv4 network such as "203.0.113.0/24", in quotes',
    ),
    AfterValidator(_network),
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


@dataclass(frozen=True)
class LongestName:
    """characters: how long a name may be. of: the name made from it that has the least room."""

    characters: int
    of: str


@dataclass(frozen=True)
class Charges:
    """What is paid for besides GPU machines. region: whose prices hold. nat_gateways: how many there are."""

    region: str
    system_nodes: SystemNodes
    nat_gateways: int


class AnyCluster(Section, frozen=True):
    """What is asked of a cluster, and what holds unless its own class says otherwise.

    Elsewhere nothing asks for the provider: another one is a class here, and its part of infra/.
    """

    is_built: ClassVar[bool] = False
    """Whether the program can build it. All clusters can be planned."""

    on_this_machine: ClassVar[bool] = False
    """Whether it is started and removed here: keys to it open nothing else, and are removed with it."""

    clouds: ClassVar[tuple[Cloud, ...]] = CLOUDS
    """Whose machine types its pools may name."""

    sells: ClassVar[tuple[Capacity, ...]] = ("reserved", "on-demand", "spot")
    """Capacity types that its machines can be bought as."""

    reservations_known: ClassVar[bool] = False
    """Whether a pool may rest on reservations alone."""

    longest_name: ClassVar[LongestName] = LongestName(63, "a label of Kubernetes")
    """How long its name may be."""

    attaches_disks: ClassVar[bool] = True
    """Whether its machines can have another disk than their own."""

    has_stores: ClassVar[bool] = True
    """Whether weights can come from buckets and registries of images."""

    has_public_entrance: ClassVar[bool] = True
    """Whether it can be reached from the internet."""

    has_inference_gateway: ClassVar[bool] = True
    """Whether a Gateway API inference gateway may run there already."""

    pulls_images: ClassVar[bool] = True
    """Whether its machines pull images from registries, which may give another one for the same tag."""

    @property
    def kubernetes(self) -> KubernetesVersion | None:
        """Its release; None where it is not known before the update."""
        return None

    @property
    def charges(self) -> Charges | None:
        """What is paid for the cluster itself; None where the stack does not buy it."""
        return None

    @property
    def spans(self) -> int | None:
        """Availability zones of its network; None where the stack file does not say."""
        return None

    @property
    def api_networks(self) -> tuple[str, ...]:
        """Networks from which its API server can be reached."""
        return ()

    @property
    def buys_with_karpenter(self) -> bool:
        """Whether Karpenter buys its GPU machines: in the order of `capacity`, and for pods only."""
        return False

    @property
    def keeps_warm_with(self) -> tuple[WarmCapacity, ...]:
        """What its node autoscaler is known to keep warm nodes for."""
        buffers = self.kubernetes is not None and self.kubernetes >= CAPACITY_BUFFERS
        if self.buys_with_karpenter or buffers:
            return ("placeholder_pods", "capacity_buffer")
        return ("placeholder_pods",)


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

    is_built: ClassVar[bool] = True
    on_this_machine: ClassVar[bool] = True
    clouds: ClassVar[tuple[Cloud, ...]] = ("aws",)
    sells: ClassVar[tuple[Capacity, ...]] = ("on-demand", "spot")
    attaches_disks: ClassVar[bool] = False
    has_stores: ClassVar[bool] = False
    has_public_entrance: ClassVar[bool] = False
    has_inference_gateway: ClassVar[bool] = False
    pulls_images: ClassVar[bool] = False

    @property
    def kubernetes(self) -> KubernetesVersion:
        return LOCAL_RELEASE

    @property
    def buys_with_karpenter(self) -> bool:
        return True


class AwsCluster(AnyCluster, frozen=True):
    """A cluster on EKS."""

    provider: Literal["aws"] = Field(description="where the cluster runs")
    name: ClusterName
    region: str = Field(
        min_length=1, description="an AWS region, such as us-east-1; machines, zones and prices follow it"
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

    clouds: ClassVar[tuple[Cloud, ...]] = ("aws",)
    longest_name: ClassVar[LongestName] = LongestName(32, "an EventBridge rule: a prefix of 38, and -spot-")
    reservations_known: ClassVar[bool] = True

    @property
    def kubernetes(self) -> KubernetesVersion:
        return kubernetes_version(self.version)

    @property
    def charges(self) -> Charges:
        return Charges(self.region, self.system_nodes, self.zones if self.nat_gateways == "per_zone" else 1)

    @property
    def spans(self) -> int:
        return self.zones

    @property
    def api_networks(self) -> tuple[str, ...]:
        return self.api_allowed_cidrs

    def without_effect(self) -> Iterator[tuple[Way, str]]:
        if self.nat_gateways == "one":
            yield ("zones",), f"{NOT_BUILT.reason}, and one NAT gateway costs the same in any number of zones"

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
        min_length=1,
        description="a Google Cloud region, such as us-central1; machines and prices follow it",
    )
    release_channel: Literal["rapid", "regular", "stable", "extended"] = Field(
        description="how early the cluster gets new versions of Kubernetes", json_schema_extra=NOT_BUILT
    )
    api_allowed_cidrs: AllowedCidrs
    system_nodes: SystemNodes

    clouds: ClassVar[tuple[Cloud, ...]] = ("gcp",)
    longest_name: ClassVar[LongestName] = LongestName(24, "a service account: an id of 30, and -nodes")
    reservations_known: ClassVar[bool] = True

    @property
    def charges(self) -> Charges:
        return Charges(self.region, self.system_nodes, nat_gateways=1)

    @property
    def api_networks(self) -> tuple[str, ...]:
        return self.api_allowed_cidrs

    @property
    def keeps_warm_with(self) -> tuple[WarmCapacity, ...]:
        """GKE serves CapacityBuffers from 1.35.2-gke.1842000 on, by its page on them of December 2026."""
        return ("placeholder_pods", "capacity_buffer")


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

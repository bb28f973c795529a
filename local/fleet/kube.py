"""The Kubernetes objects the fleet reads, reduced to the fields it uses.

Field names are the API's in snake case, meanings and defaults are the API's. Unknown fields are ignored: the
API server has validated the object, and a newer server may send more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

RestartPolicy = Literal["Always", "OnFailure", "Never"]

DEFAULT_MODE = 0o644
"""Permissions of a volume's files where the volume sets none."""


class _Object(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, value: Any) -> Any:
        # Go writes an empty list without `omitempty` as null.
        if isinstance(value, dict):
            return {name: item for name, item in value.items() if item is not None}
        return value


class OwnerReference(_Object):
    kind: str
    name: str


class Metadata(_Object):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[OwnerReference] = Field(default_factory=list)


class ApiObject(_Object):
    metadata: Metadata


class ExecAction(_Object):
    command: list[str] = Field(default_factory=list)


class HttpHeader(_Object):
    name: str
    value: str


class HttpGetAction(_Object):
    port: int | str
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: list[HttpHeader] = Field(default_factory=list)


class TcpSocketAction(_Object):
    port: int | str
    host: str = ""


class SleepAction(_Object):
    seconds: int


class GrpcAction(_Object):
    port: int


class Handler(_Object):
    """What a probe or a lifecycle hook does: exactly one field is set."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    sleep: SleepAction | None = None
    grpc: GrpcAction | None = None


class Probe(Handler):
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class Lifecycle(_Object):
    post_start: Handler | None = None
    pre_stop: Handler | None = None


class KeySelector(_Object):
    name: str = ""
    key: str
    optional: bool = False


class FieldSelector(_Object):
    field_path: str


class ResourceSelector(_Object):
    resource: str
    container_name: str = ""
    divisor: str = "1"


class EnvVarSource(_Object):
    field_ref: FieldSelector | None = None
    resource_field_ref: ResourceSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None


class EnvVar(_Object):
    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class ObjectSelector(_Object):
    name: str = ""
    optional: bool = False


class EnvFromSource(_Object):
    prefix: str = ""
    config_map_ref: ObjectSelector | None = None
    secret_ref: ObjectSelector | None = None


class ContainerPort(_Object):
    container_port: int
    name: str = ""
    protocol: str = "TCP"


class VolumeMount(_Object):
    name: str
    mount_path: str
    sub_path: str = ""


class Resources(_Object):
    limits: dict[str, str] = Field(default_factory=dict)
    requests: dict[str, str] = Field(default_factory=dict)


class Container(_Object):
    name: str
    image: str
    command: list[str] = Field(default_factory=list)
    args: list[str] = Field(default_factory=list)
    working_dir: str = ""
    env: list[EnvVar] = Field(default_factory=list)
    env_from: list[EnvFromSource] = Field(default_factory=list)
    ports: list[ContainerPort] = Field(default_factory=list)
    volume_mounts: list[VolumeMount] = Field(default_factory=list)
    resources: Resources = Field(default_factory=Resources)
    restart_policy: RestartPolicy | None = None
    """Set to Always on an init container that is a sidecar."""
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle = Field(default_factory=Lifecycle)
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"

    def probes(self) -> list[Probe]:
        candidates = (self.startup_probe, self.readiness_probe, self.liveness_probe)
        return [probe for probe in candidates if probe is not None]


class KeyToPath(_Object):
    key: str
    path: str


class ConfigMapSource(_Object):
    name: str = ""
    items: list[KeyToPath] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE
    optional: bool = False


class SecretSource(_Object):
    secret_name: str = ""
    name: str = ""
    """The field's name where the source is part of a projected volume."""
    items: list[KeyToPath] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE
    optional: bool = False


class DownwardFile(_Object):
    path: str
    field_ref: FieldSelector | None = None
    resource_field_ref: ResourceSelector | None = None


class DownwardSource(_Object):
    items: list[DownwardFile] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE


class TokenSource(_Object):
    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class ProjectedSource(_Object):
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward: DownwardSource | None = Field(default=None, alias="downwardAPI")
    service_account_token: TokenSource | None = None


class Projected(_Object):
    sources: list[ProjectedSource] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE


class ClaimSource(_Object):
    claim_name: str


class EmptyDir(_Object):
    pass


class Volume(_Object):
    name: str
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward: DownwardSource | None = Field(default=None, alias="downwardAPI")
    projected: Projected | None = None
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: ClaimSource | None = None

    def mode(self) -> int:
        """Permissions of the volume's files."""
        for source in (self.config_map, self.secret, self.downward, self.projected):
            if source is not None:
                return source.default_mode
        return DEFAULT_MODE


class ReadinessGate(_Object):
    condition_type: str


class PodSpec(_Object):
    containers: list[Container]
    init_containers: list[Container] = Field(default_factory=list)
    volumes: list[Volume] = Field(default_factory=list)
    node_name: str = ""
    restart_policy: RestartPolicy = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    service_account_name: str = "default"
    hostname: str = ""
    readiness_gates: list[ReadinessGate] = Field(default_factory=list)


class StateWaiting(_Object):
    reason: str | None = None
    message: str | None = None


class StateRunning(_Object):
    started_at: datetime


class StateTerminated(_Object):
    exit_code: int
    reason: str | None = None
    message: str | None = None
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str | None = Field(default=None, alias="containerID")


class ContainerState(_Object):
    waiting: StateWaiting | None = None
    running: StateRunning | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(_Object):
    name: str
    image: str = ""
    image_id: str = Field(default="", alias="imageID")
    container_id: str | None = Field(default=None, alias="containerID")
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = Field(default_factory=ContainerState)
    last_state: ContainerState = Field(default_factory=ContainerState)


class Condition(_Object):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class PodStatus(_Object):
    phase: str = "Pending"
    pod_ip: str | None = Field(default=None, alias="podIP")
    start_time: datetime | None = None
    conditions: list[Condition] = Field(default_factory=list)
    container_statuses: list[ContainerStatus] = Field(default_factory=list)
    init_container_statuses: list[ContainerStatus] = Field(default_factory=list)


class Pod(ApiObject):
    spec: PodSpec
    status: PodStatus = Field(default_factory=PodStatus)


class DaemonEndpoint(_Object):
    port: int = Field(default=0, alias="Port")


class DaemonEndpoints(_Object):
    kubelet_endpoint: DaemonEndpoint = Field(default_factory=DaemonEndpoint)


class NodeStatus(_Object):
    daemon_endpoints: DaemonEndpoints = Field(default_factory=DaemonEndpoints)


class Node(ApiObject):
    status: NodeStatus = Field(default_factory=NodeStatus)


class ServicePort(_Object):
    port: int
    name: str = ""
    protocol: str = "TCP"


class ServiceSpec(_Object):
    type: str = "ClusterIP"
    cluster_ip: str = Field(default="", alias="clusterIP")
    ports: list[ServicePort] = Field(default_factory=list)
    load_balancer_class: str | None = None


class Service(ApiObject):
    spec: ServiceSpec = Field(default_factory=ServiceSpec)


class EndpointConditions(_Object):
    ready: bool = True


class ObjectReference(_Object):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(_Object):
    conditions: EndpointConditions = Field(default_factory=EndpointConditions)
    target_ref: ObjectReference | None = None


class EndpointPort(_Object):
    name: str = ""
    port: int


class EndpointSlice(ApiObject):
    endpoints: list[Endpoint] = Field(default_factory=list)
    ports: list[EndpointPort] = Field(default_factory=list)


class ConfigMap(ApiObject):
    data: dict[str, str] = Field(default_factory=dict)
    binary_data: dict[str, str] = Field(default_factory=dict)


class Secret(ApiObject):
    data: dict[str, str] = Field(default_factory=dict)

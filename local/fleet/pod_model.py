"""A pod as the API has it: spec, status and metadata, reduced to what the fleet uses.

Field names are the API's in snake case, meanings and defaults are the API's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from local.fleet.kube import ApiModel, ApiObject

RestartPolicy = Literal["Always", "OnFailure", "Never"]

DEFAULT_MODE = 0o644
"""Permissions of a volume's files where the volume sets none."""


class ExecAction(ApiModel):
    command: list[str] = Field(default_factory=list)


class HttpHeader(ApiModel):
    name: str
    value: str


class HttpGetAction(ApiModel):
    port: int | str
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: list[HttpHeader] = Field(default_factory=list)


class TcpSocketAction(ApiModel):
    port: int | str
    host: str = ""


class SleepAction(ApiModel):
    seconds: int


class GrpcAction(ApiModel):
    port: int


class Handler(ApiModel):
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


class Lifecycle(ApiModel):
    post_start: Handler | None = None
    pre_stop: Handler | None = None


class KeySelector(ApiModel):
    name: str = ""
    key: str
    optional: bool = False


class FieldSelector(ApiModel):
    field_path: str


class ResourceSelector(ApiModel):
    resource: str
    container_name: str = ""
    divisor: str = "1"


class EnvVarSource(ApiModel):
    field_ref: FieldSelector | None = None
    resource_field_ref: ResourceSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None


class EnvVar(ApiModel):
    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class ObjectSelector(ApiModel):
    name: str = ""
    optional: bool = False


class EnvFromSource(ApiModel):
    prefix: str = ""
    config_map_ref: ObjectSelector | None = None
    secret_ref: ObjectSelector | None = None


class ContainerPort(ApiModel):
    container_port: int
    name: str = ""
    protocol: str = "TCP"


class VolumeMount(ApiModel):
    name: str
    mount_path: str
    sub_path: str = ""


class Resources(ApiModel):
    limits: dict[str, str] = Field(default_factory=dict)
    requests: dict[str, str] = Field(default_factory=dict)


class Container(ApiModel):
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


class KeyToPath(ApiModel):
    key: str
    path: str


class ConfigMapSource(ApiModel):
    name: str = ""
    items: list[KeyToPath] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE
    optional: bool = False


class SecretSource(ApiModel):
    secret_name: str = ""
    name: str = ""
    """The field's name where the source is part of a projected volume."""
    items: list[KeyToPath] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE
    optional: bool = False


class DownwardFile(ApiModel):
    path: str
    field_ref: FieldSelector | None = None
    resource_field_ref: ResourceSelector | None = None


class DownwardSource(ApiModel):
    items: list[DownwardFile] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE


class TokenSource(ApiModel):
    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class ProjectedSource(ApiModel):
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward: DownwardSource | None = Field(default=None, alias="downwardAPI")
    service_account_token: TokenSource | None = None


class Projected(ApiModel):
    sources: list[ProjectedSource] = Field(default_factory=list)
    default_mode: int = DEFAULT_MODE


class ClaimSource(ApiModel):
    claim_name: str


class ImageSource(ApiModel):
    reference: str = ""


class EmptyDir(ApiModel):
    pass


class Volume(ApiModel):
    name: str
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward: DownwardSource | None = Field(default=None, alias="downwardAPI")
    projected: Projected | None = None
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: ClaimSource | None = None
    image: ImageSource | None = None

    def mode(self) -> int:
        """Permissions of the volume's files."""
        for source in (self.config_map, self.secret, self.downward, self.projected):
            if source is not None:
                return source.default_mode
        return DEFAULT_MODE


class ReadinessGate(ApiModel):
    condition_type: str


class PodSpec(ApiModel):
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


class StateWaiting(ApiModel):
    reason: str | None = None
    message: str | None = None


class StateRunning(ApiModel):
    started_at: datetime


class StateTerminated(ApiModel):
    exit_code: int
    reason: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str | None = Field(default=None, alias="containerID")


class ContainerState(ApiModel):
    waiting: StateWaiting | None = None
    running: StateRunning | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(ApiModel):
    name: str
    image: str = ""
    image_id: str = Field(default="", alias="imageID")
    container_id: str | None = Field(default=None, alias="containerID")
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = Field(default_factory=ContainerState)
    last_state: ContainerState = Field(default_factory=ContainerState)


class Condition(ApiModel):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class PodStatus(ApiModel):
    phase: str = "Pending"
    pod_ip: str | None = Field(default=None, alias="podIP")
    start_time: datetime | None = None
    conditions: list[Condition] = Field(default_factory=list)
    container_statuses: list[ContainerStatus] = Field(default_factory=list)
    init_container_statuses: list[ContainerStatus] = Field(default_factory=list)


class Pod(ApiObject):
    spec: PodSpec
    status: PodStatus = Field(default_factory=PodStatus)

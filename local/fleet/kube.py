"""The Kubernetes objects the fleet reads, reduced to the fields it uses.

Field names are the API's in snake case, meanings and defaults are the API's. Unknown fields are ignored: the
API server has validated the object, and a newer server may send more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """The base of every model: names as the API writes them, null as absent."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, value: Any) -> Any:
        # Go writes an empty list without `omitempty` as null.
        if isinstance(value, dict):
            return {name: item for name, item in value.items() if item is not None}
        return value


class Metadata(ApiModel):
    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None


class ApiObject(ApiModel):
    metadata: Metadata


class DaemonEndpoint(ApiModel):
    port: int = Field(default=0, alias="Port")


class DaemonEndpoints(ApiModel):
    kubelet_endpoint: DaemonEndpoint = Field(default_factory=DaemonEndpoint)


class NodeStatus(ApiModel):
    daemon_endpoints: DaemonEndpoints = Field(default_factory=DaemonEndpoints)


class Node(ApiObject):
    status: NodeStatus = Field(default_factory=NodeStatus)


class ServicePort(ApiModel):
    port: int
    name: str = ""
    protocol: str = "TCP"


class ServiceSpec(ApiModel):
    type: str = "ClusterIP"
    cluster_ip: str = Field(default="", alias="clusterIP")
    ports: list[ServicePort] = Field(default_factory=list)
    load_balancer_class: str | None = None


class Service(ApiObject):
    spec: ServiceSpec = Field(default_factory=ServiceSpec)


class EndpointConditions(ApiModel):
    ready: bool = True


class ObjectReference(ApiModel):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(ApiModel):
    conditions: EndpointConditions = Field(default_factory=EndpointConditions)
    target_ref: ObjectReference | None = None


class EndpointPort(ApiModel):
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


class ResourceRequests(ApiModel):
    requests: dict[str, str] = Field(default_factory=dict)


class ClaimSpec(ApiModel):
    access_modes: list[str] = Field(default_factory=list)
    storage_class_name: str = ""
    volume_name: str = ""
    resources: ResourceRequests = Field(default_factory=ResourceRequests)


class PersistentVolumeClaim(ApiObject):
    spec: ClaimSpec = Field(default_factory=ClaimSpec)


class HostPath(ApiModel):
    path: str


class VolumeSpec(ApiModel):
    host_path: HostPath | None = None


class VolumeStatus(ApiModel):
    phase: str = ""


class PersistentVolume(ApiObject):
    spec: VolumeSpec = Field(default_factory=VolumeSpec)
    status: VolumeStatus = Field(default_factory=VolumeStatus)

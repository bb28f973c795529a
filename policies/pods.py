"""The pods that registered objects lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.properties import Section

POD_TEMPLATES = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
}
"""Where each kind keeps its pod. Other kinds, such as those of operators, are not looked into."""

GPU_RESOURCES = ("nvidia.com/gpu", "nvidia.com/gpu.shared")


@dataclass(frozen=True)
class Container:
    """One container of a pod."""

    name: str
    section: Section

    def gpus(self) -> int:
        """GPUs that it asks for: its limit, which must equal its request."""
        resources = self.section.section("resources")
        amounts = [
            resources.section(kind).number(resource)
            for kind in ("limits", "requests")
            for resource in GPU_RESOURCES
        ]
        return int(max((amount for amount in amounts if amount is not None), default=0))


@dataclass(frozen=True)
class Pod:
    """The pods of one object: what is the same for all of them."""

    owner: KubernetesObject
    template: Section

    @property
    def identity(self) -> str:
        return self.owner.identity

    @property
    def spec(self) -> Section:
        return self.template.section("spec")

    def labels(self) -> dict[str, str]:
        return self.template.section("metadata").labels("labels")

    def annotations(self) -> dict[str, str]:
        return self.template.section("metadata").labels("annotations")

    def containers(self) -> list[Container]:
        """Containers that run all the time."""
        return _containers(self.spec, ("containers",))

    def all_containers(self) -> list[Container]:
        """Also those that run before the others, and those for debugging."""
        return _containers(self.spec, ("initContainers", "containers", "ephemeralContainers"))

    def gpus(self) -> int:
        """GPUs of one pod."""
        return sum(container.gpus() for container in self.containers())


def _containers(spec: Section, keys: Sequence[str]) -> list[Container]:
    return [
        Container(section.text("name") or section.path, section)
        for key in keys
        for section in spec.sections(key)
    ]


def pod_owners(resources: Iterable[Resource]) -> Iterator[KubernetesObject]:
    """Objects that lead to pods."""
    return kubernetes_objects(resources, POD_TEMPLATES)


def pod_of(owner: KubernetesObject) -> Pod:
    """The pods of `owner`, which pod_owners gave."""
    template = owner.root
    for key in POD_TEMPLATES[owner.kind]:
        template = template.section(key)
    return Pod(owner, template)


def pod_subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    """Identity and URN of every object that leads to pods."""
    return [(owner.identity, owner.urn) for owner in pod_owners(resources)]

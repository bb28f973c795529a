"""Node pools among the registered resources, and which of them a pod can reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, TypeAdapter

from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import Pod
from policies.properties import Section
from policies.stack_configuration import section
from sizing.hardware.machines import SHAPES, MachineShape
from sizing.labels import ACCELERATOR_LABEL, GPU_RESOURCE, NODE_POOL_LABEL

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
INSTANCE_FAMILY = "karpenter.k8s.aws/instance-family"
GPU_NAME = "karpenter.k8s.aws/instance-gpu-name"
GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"

POOL_LABELS = (NODE_POOL_LABEL, "karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup")
"""Labels by which a pod chooses a pool."""

HARDWARE_LABELS = (INSTANCE_TYPE, INSTANCE_FAMILY, GPU_NAME, GKE_ACCELERATOR)
"""Labels that clouds and Karpenter give a machine by what it is."""

MACHINE_LABELS = (*HARDWARE_LABELS, ACCELERATOR_LABEL)
"""Labels by which a pod chooses machines or their GPUs, whatever pool they are in."""

GKE_NAMES = {"nvidia-tesla-t4": "nvidia-t4", "nvidia-tesla-a100": "nvidia-a100-40gb"}
"""GKE's label of an accelerator where it differs from the name in sizing/hardware/data/accelerators.yaml."""

REPELLING_EFFECTS = ("NoSchedule", "NoExecute")

Choices = Mapping[str, frozenset[str]]
"""Which values of each label will do."""


@dataclass(frozen=True)
class PoolTaint:
    """A taint of every node of a pool that keeps pods off."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class NodePool:
    """One Karpenter NodePool. Reading it raises what policies.properties raises."""

    owner: KubernetesObject

    @property
    def identity(self) -> str:
        return self.owner.identity

    @property
    def _template(self) -> Section:
        return self.owner.spec.section("template")

    def labels(self) -> dict[str, frozenset[str]]:
        """Labels of its nodes, each with the values that it may have."""
        fixed = {
            key: frozenset({value})
            for key, value in self._template.section("metadata").labels("labels").items()
        }
        required = _choices(self._template.section("spec").sections("requirements"))
        return {**required, **fixed, "karpenter.sh/nodepool": frozenset({self.owner.name})}

    def machine_names(self) -> frozenset[str]:
        """Machine types that it names; none if it describes them otherwise."""
        return self.labels().get(INSTANCE_TYPE, frozenset())

    def machines(self) -> tuple[MachineShape, ...]:
        """Machine types with a row in our tables that it may buy."""
        labels = self.labels()
        # What it is called does not count where it says what it buys: a label is only a promise.
        described = {key: labels[key] for key in HARDWARE_LABELS if key in labels}
        promised = {key: labels[key] for key in (ACCELERATOR_LABEL,) if key in labels}
        return machines_of(described or promised) if described or promised else ()

    def has_gpus(self) -> bool:
        """Whether its machines carry GPUs, by their rows, its limits or its labels."""
        labelled = ACCELERATOR_LABEL in self.labels() or GPU_NAME in self.labels()
        return labelled or self.limit(GPU_RESOURCE) is not None or bool(self.machines())

    def limit(self, resource: str) -> float | None:
        """How much of `resource` it may buy in all; None without a limit."""
        return self.owner.spec.section("limits").number(resource)

    def taints(self) -> list[PoolTaint]:
        return [
            PoolTaint(taint.text("key") or "", taint.text("value") or "", effect)
            for taint in self._template.section("spec").sections("taints")
            if (effect := taint.text("effect")) in REPELLING_EFFECTS
        ]


def node_pools(resources: Iterable[Resource]) -> list[NodePool]:
    """Karpenter's node pools; pools of a cloud's own have a type of that cloud."""
    karpenter = (item for item in resources if item.resource_type.startswith("kubernetes:karpenter.sh/"))
    return [NodePool(owner) for owner in kubernetes_objects(karpenter, ("NodePool",))]


class StackPool(BaseModel):
    """An entry of `node_pools` of a stack file, as far as the rules need it."""

    name: str
    machine_types: tuple[str, ...]


@dataclass(frozen=True)
class Reach:
    """Where a pod can be put. pools: registered ones. machines: types with a row in our tables."""

    pools: tuple[NodePool, ...]
    machines: tuple[MachineShape, ...]

    @property
    def accelerators(self) -> frozenset[str]:
        return frozenset(machine.accelerator for machine in self.machines)


def reach(pod: Pod, pools: Sequence[NodePool]) -> Reach:
    """Where the selector and the required affinity of `pod` let it go."""
    found_pools: dict[str, NodePool] = {}
    found_machines: dict[str, MachineShape] = {}
    for wanted in alternatives(pod):
        in_pools = [pool for pool in pools if _possible(wanted, pool.labels())]
        found_pools.update({pool.identity: pool for pool in in_pools})
        if in_pools:
            machines = [
                machine
                for pool in in_pools
                for machine in pool.machines()
                if _matches(machine, _choices_of_machine(wanted, pool.labels()))
            ]
        else:
            machines = machines_of(wanted) if _machine_choices(wanted) else _of_stack_file(wanted)
        found_machines.update({machine.name: machine for machine in machines})
    return Reach(tuple(found_pools.values()), tuple(found_machines.values()))


def alternatives(pod: Pod) -> list[Choices]:
    """What the pod demands of a node's labels: any one of these will do."""
    selector = {key: frozenset({value}) for key, value in pod.spec.labels("nodeSelector").items()}
    terms = (
        pod.spec.section("affinity")
        .section("nodeAffinity")
        .section("requiredDuringSchedulingIgnoredDuringExecution")
        .sections("nodeSelectorTerms")
    )
    if not terms:
        return [selector]
    return [{**_choices(term.sections("matchExpressions")), **selector} for term in terms]


def machines_of(wanted: Choices) -> tuple[MachineShape, ...]:
    """Machine types whose own labels do not contradict `wanted`."""
    choices = _machine_choices(wanted)
    return tuple(machine for machine in SHAPES.values() if _matches(machine, choices))


def _of_stack_file(wanted: Choices) -> tuple[MachineShape, ...]:
    """Machine types of a pool that Karpenter does not fill: of that, only the stack file says what it is."""
    names = wanted.get(NODE_POOL_LABEL, frozenset())
    pools = section("node_pools", TypeAdapter(tuple[StackPool, ...])) or ()
    kinds = [kind for pool in pools if pool.name in names for kind in pool.machine_types]
    return tuple(SHAPES[kind] for kind in kinds if kind in SHAPES)


def _choices(requirements: Iterable[Section]) -> dict[str, frozenset[str]]:
    """Requirements with the operator In. The others exclude little, so they are left out."""
    return {
        key: frozenset(requirement.texts("values"))
        for requirement in requirements
        if requirement.text("operator") == "In" and (key := requirement.text("key")) is not None
    }


def _possible(wanted: Choices, labels: Choices) -> bool:
    """Whether a node of a pool with these labels can be what is wanted.

    A label that the pool does not state may still be its machine's own; one that names pools cannot.
    """
    return all(
        not labels[key].isdisjoint(values) if key in labels else key not in POOL_LABELS
        for key, values in wanted.items()
    )


def _machine_choices(wanted: Choices) -> Choices:
    return {key: values for key, values in wanted.items() if key in MACHINE_LABELS}


def _choices_of_machine(wanted: Choices, labels: Choices) -> Choices:
    """What is left to choose within a pool: our accelerator label is the same on all its nodes."""
    return {
        key: values
        for key, values in _machine_choices(wanted).items()
        if not (key == ACCELERATOR_LABEL and key in labels)
    }


def _matches(machine: MachineShape, choices: Choices) -> bool:
    return all(_label_fits(machine, key, values) for key, values in choices.items())


def _label_fits(machine: MachineShape, key: str, values: frozenset[str]) -> bool:
    if key == INSTANCE_TYPE:
        return machine.name in values
    if key == INSTANCE_FAMILY:
        return machine.name.partition(".")[0] in values
    if key == GPU_NAME:
        return any(f"{machine.accelerator}-".startswith(f"nvidia-{value}-") for value in values)
    return machine.accelerator in {GKE_NAMES.get(value, value) for value in values}

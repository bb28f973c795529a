"""REL-003: a drain never takes all replicas of a workload at once, and always gets on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.labels import selects
from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import Pod, pod_of, pod_owners
from policies.properties import Section, UnexpectedValueError, finite
from policies.rule import Report, Rule, Settings
from policies.scaling import Replicas, replicas, same_namespace, scalers

JUDGED = ("Deployment", "StatefulSet")
"""Kinds whose replicas serve together. Jobs and DaemonSets have no replicas to spare."""

BUDGET = "PodDisruptionBudget"
COMPONENT = "app.kubernetes.io/component"


class Rel003Settings(Settings):
    exempt_components: tuple[str, ...] = Field(
        default=("placeholder",),
        description=f"values of the label {COMPONENT} of pods that may all leave at once; placeholder pods "
        "exist to be pushed out",
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    found = kubernetes_objects(resources, (*JUDGED, BUDGET))
    return [(item.identity, item.urn) for item in found]


@dataclass(frozen=True)
class Workload:
    """A workload, the labels of its pods, and how many there are."""

    pod: Pod
    labels: Mapping[str, str]
    replicas: Replicas


def judge(resources: Sequence[Resource], settings: Rel003Settings, report: Report) -> None:
    scaled_by = scalers(resources)
    budgets = list(kubernetes_objects(resources, (BUDGET,)))
    workloads: list[Workload] = []
    for owner in pod_owners(resources):
        if owner.kind not in JUDGED:
            continue
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            workload = Workload(pod, pod.labels(), replicas(pod, scaled_by))
            workloads.append(workload)
            if workload.labels.get(COMPONENT) in settings.exempt_components:
                continue
            if workload.replicas.maximum > 1 and not any(_guards(budget, workload) for budget in budgets):
                violation(
                    f"{workload.replicas.maximum} replicas at most and no PodDisruptionBudget selects them: "
                    "a drain may take all at once. Add one with maxUnavailable 1"
                )
    for budget in budgets:
        with report.judging(budget.identity, budget.urn) as violation:
            guarded = [workload for workload in workloads if _guards(budget, workload)]
            for problem in _problems(budget.spec, guarded):
                violation(problem)


def _guards(budget: KubernetesObject, workload: Workload) -> bool:
    # Without any selector a budget guards nothing.
    return (
        budget.spec.has("selector")
        and same_namespace(budget, workload.pod.owner)
        and selects(budget.spec.section("selector"), workload.labels)
    )


def _problems(spec: Section, guarded: Sequence[Workload]) -> list[str]:
    if spec.has("maxUnavailable"):
        amount, percent = _amount(spec, "maxUnavailable")
        if amount <= 0:
            unit = "%" if percent else ""
            return [
                f"maxUnavailable {amount:g}{unit} allows no disruption: nodes can never be drained. Set 1"
            ]
        return []
    if not spec.has("minAvailable"):
        return []
    amount, percent = _amount(spec, "minAvailable")
    if percent and amount >= 100:
        return ["minAvailable 100% allows no disruption: nodes can never be drained. Set maxUnavailable 1"]
    problems = []
    for workload in guarded:
        # Kubernetes rounds a percentage up. A workload that sleeps blocks nothing while it has no pods.
        count = max(workload.replicas.minimum, 1)
        needed = ceil(amount / 100 * count) if percent else amount
        if needed >= count:
            problems.append(
                f"minAvailable {amount:g}{'%' if percent else ''} allows no disruption of the {count} "
                f"replicas that {workload.pod.identity} has at least: its nodes can never be drained. Set "
                "maxUnavailable 1 instead"
            )
    return problems


def _amount(spec: Section, key: str) -> tuple[float, bool]:
    """A number of pods, or a percentage of them (and True)."""
    value = spec.values.get(key)
    if isinstance(value, str) and value.endswith("%"):
        percentage = finite(value[:-1])
        if percentage is None:
            raise UnexpectedValueError(spec.at(key), value, "a number or a percentage")
        return percentage, True
    number = spec.number(key)
    return 0.0 if number is None else number, False


RULE = Rule(
    id="REL-003",
    description="Replicas are guarded by a PodDisruptionBudget that lets nodes be drained one pod at a time.",
    remediation="Give each workload that can have more than one replica a PodDisruptionBudget with "
    "maxUnavailable 1 and unhealthyPodEvictionPolicy AlwaysAllow.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Rel003Settings,
    subjects=subjects,
    judge=judge,
)

"""GPU-010: GPU machines are for pods that use GPUs, and such pods go nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.node_pools import (
    MACHINE_LABELS,
    POOL_LABELS,
    NodePool,
    PoolTaint,
    alternatives,
    node_pools,
    reach,
)
from policies.objects import Resource
from policies.pods import Pod, pod_of, pod_owners, pod_subjects
from policies.properties import Section
from policies.rule import Report, Rule, Settings
from sizing.labels import GPU_RESOURCE

GPU_TAINT = PoolTaint(key=GPU_RESOURCE, value="present", effect="NoSchedule")
"""What GKE puts on GPU nodes by itself, and infra/scheduling.py on those of every pool."""


class Gpu010Settings(Settings):
    selector_labels: tuple[str, ...] = Field(
        default=(*POOL_LABELS, *MACHINE_LABELS, "cloud.google.com/gke-nodepool", "nvidia.com/gpu.product"),
        description="node labels by which a pod that asks for GPUs may choose its pool or accelerator",
    )
    taint_keys: tuple[str, ...] = Field(
        default=(GPU_TAINT.key,), description="keys of the taints that mark GPU nodes"
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    pools = [(pool.identity, pool.owner.urn) for pool in node_pools(resources)]
    return [*pools, *pod_subjects(resources)]


def judge(resources: Sequence[Resource], settings: Gpu010Settings, report: Report) -> None:
    pools = node_pools(resources)
    for pool in pools:
        with report.judging(pool.identity, pool.owner.urn) as violation:
            if pool.has_gpus() and not pool.taints():
                violation(
                    "a GPU pool without a NoSchedule taint: any pod may fill its machines. Add the taint "
                    f"{GPU_TAINT.key}={GPU_TAINT.value}:{GPU_TAINT.effect} to spec.template.spec.taints"
                )
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            problems = (
                _problems_with_gpus(pod, pools, settings)
                if pod.gpus() > 0
                else _problems_without_gpus(pod, settings)
            )
            for problem in problems:
                violation(problem)


def _problems_with_gpus(pod: Pod, pools: Sequence[NodePool], settings: Gpu010Settings) -> list[str]:
    problems = []
    if not all(set(wanted) & set(settings.selector_labels) for wanted in alternatives(pod)):
        problems.append(
            f"asks for {pod.gpus()} GPUs but for no kind of GPU: it may land on any. Add a nodeSelector with "
            f"one of {', '.join(settings.selector_labels)}"
        )
    tolerations = pod.spec.sections("tolerations")
    # Without a registered pool, what a pod has to tolerate is the taint that clouds put on GPU nodes.
    taints = {taint for pool in reach(pod, pools).pools for taint in pool.taints()} or {GPU_TAINT}
    missing = [
        taint for taint in taints if not any(_tolerates(toleration, taint) for toleration in tolerations)
    ]
    problems += [
        f"does not tolerate {taint.key}={taint.value}:{taint.effect} of its machines and waits for ever: add "
        "a toleration"
        for taint in sorted(missing, key=lambda taint: taint.key)
    ]
    return problems


def _problems_without_gpus(pod: Pod, settings: Gpu010Settings) -> list[str]:
    # Device plugins, exporters and log collectors belong on every node; a claim may be one for a GPU.
    if pod.owner.kind == "DaemonSet" or pod.spec.has("resourceClaims"):
        return []
    return [
        f"{toleration.path} lets a pod without GPUs onto GPU machines: remove it, or name the taints that "
        "are meant"
        for toleration in pod.spec.sections("tolerations")
        if (toleration.text("key") or "") in ("", *settings.taint_keys)
    ]


def _tolerates(toleration: Section, taint: PoolTaint) -> bool:
    """Kubernetes' own rule: no key means all, Exists ignores the value, no effect means any."""
    key, effect = toleration.text("key"), toleration.text("effect")
    exists = toleration.text("operator") == "Exists"
    return (
        key in (taint.key, *((None, "") if exists else ()))
        and (exists or (toleration.text("value") or "") == taint.value)
        and effect in (None, "", taint.effect)
    )


RULE = Rule(
    id="GPU-010",
    description="GPU machines carry a taint, and only pods that ask for GPUs tolerate it.",
    remediation="Take both sides from one object, as infra/scheduling.py does: its taint for the pool, its "
    "node_selector and a toleration of that taint for the pod.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Gpu010Settings,
    subjects=subjects,
    judge=judge,
)

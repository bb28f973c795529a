"""GPU-002: an engine gets the GPUs that it splits its model over, and some machine has as many."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity

from policies.engine_commands import UnreadableArgumentError, engine_command
from policies.node_pools import NodePool, node_pools, reach
from policies.objects import Resource
from policies.pods import Pod, pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings


def judge(resources: Sequence[Resource], settings: Settings, report: Report) -> None:
    pools = node_pools(resources)
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            for problem in (*_engines_beyond_limits(pod), *_pod_beyond_machines(pod, pools)):
                violation(problem)


def _engines_beyond_limits(pod: Pod) -> list[str]:
    problems = []
    for container in pod.containers():
        command = engine_command(container)
        if command is None:
            continue
        try:
            needed = command.gpus
        except UnreadableArgumentError as error:
            problems.append(f"container {container.name}: {error}: give a literal value")
            continue
        gpus = container.gpus()
        if needed > gpus:
            problems.append(
                f"container {container.name} splits its model over {needed} GPUs and gets {gpus}: the "
                f"engine fails at start. Set its nvidia.com/gpu limit to {needed}, or lower the parallelism"
            )
    return problems


def _pod_beyond_machines(pod: Pod, pools: Sequence[NodePool]) -> list[str]:
    gpus = pod.gpus()
    if gpus == 0:
        return []
    machines = reach(pod, pools).machines
    if not machines:
        # Machines without a row in our tables, or no selector: GPU-010 asks for one.
        return []
    largest = max(machines, key=lambda machine: machine.accelerator_count)
    if gpus <= largest.accelerator_count:
        return []
    return [
        f"asks for {gpus} GPUs, and the largest machine that its node selector reaches, {largest.name}, has "
        f"{largest.accelerator_count}: it waits for ever. Ask for fewer, or select larger machines"
    ]


RULE = Rule(
    id="GPU-002",
    description="An engine gets as many GPUs as it splits its model over, on a machine that has them.",
    remediation="Keep tensor x pipeline x data parallel size, the nvidia.com/gpu limit and the machine types "
    "of the pool in step.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Settings,
    subjects=pod_subjects,
    judge=judge,
)

"""SEC-003: a namespace with pods enforces the restricted standard and refuses connections by default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.labels import is_empty
from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import pod_owners
from policies.reachability import Direction, Policy, network_policies
from policies.rule import Report, Rule, Settings

ENFORCE = "pod-security.kubernetes.io/enforce"
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")


class Sec003Settings(Settings):
    privileged_namespaces: tuple[str, ...] = Field(
        default=(),
        description="namespaces of device plugins, exporters and drivers, which the restricted standard "
        "would refuse; their connections are judged all the same",
    )
    managed_elsewhere: tuple[str, ...] = Field(
        default=(),
        description="namespaces that another program registers, with their labels and network policies",
    )


def _namespaces(resources: Sequence[Resource]) -> dict[str, str]:
    """Namespaces with pods, and the URN of each or that of a workload in it."""
    found: dict[str, str] = {}
    for owner in pod_owners(resources):
        if owner.namespace is not None:
            found.setdefault(owner.namespace, owner.urn)
    registered = {item.name: item.urn for item in kubernetes_objects(resources, ("Namespace",))}
    return {name: registered.get(name, urn) for name, urn in found.items()}


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(f"Namespace/{name}", urn) for name, urn in _namespaces(resources).items()]


def judge(resources: Sequence[Resource], settings: Sec003Settings, report: Report) -> None:
    registered = {item.name: item for item in kubernetes_objects(resources, ("Namespace",))}
    policies = network_policies(resources)
    for name, urn in _namespaces(resources).items():
        if name in settings.managed_elsewhere:
            continue
        for check in (
            _standard(registered.get(name), name in settings.privileged_namespaces),
            _network_policies([policy for policy in policies if policy.owner.namespace == name]),
        ):
            with report.judging(f"Namespace/{name}", urn) as violation:
                for message in check:
                    violation(message)


def _standard(namespace: KubernetesObject | None, privileged: bool) -> Iterator[str]:
    if privileged:
        return
    if namespace is None:
        yield (
            "has pods and is not registered here, so nobody knows what it enforces: register it, or name it "
            "in managed_elsewhere"
        )
        return
    level = namespace.root.section("metadata").labels("labels").get(ENFORCE)
    if level != "restricted":
        found = "is missing" if level is None else f"is {level}"
        yield f"its label {ENFORCE} {found}: set restricted"


def _network_policies(policies: Sequence[Policy]) -> Iterator[str]:
    missing = [
        direction for direction in DIRECTIONS if not any(_denies(policy, direction) for policy in policies)
    ]
    if missing:
        yield (
            f"no NetworkPolicy refuses {' and '.join(missing)} by default: add one with an empty "
            f"podSelector, policyTypes [{', '.join(missing)}] and no rules"
        )


def _denies(policy: Policy, direction: Direction) -> bool:
    return is_empty(policy.selector) and policy.isolates(direction) and not policy.rules(direction)


RULE = Rule(
    id="SEC-003",
    description="Namespaces enforce the restricted Pod Security Standard and refuse connections by default.",
    remediation="Label the namespace as infra/pod_security.py does, and give it the policies of "
    "infra/network_policies.py.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Sec003Settings,
    subjects=subjects,
    judge=judge,
)

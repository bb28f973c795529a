"""SEC-011: a pod is known to the API server by an account of its own, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings


class Sec011Settings(Settings):
    token_namespaces: tuple[str, ...] = Field(
        default=(), description="namespaces of operators and controllers, which talk to the API server"
    )


def judge(resources: Sequence[Resource], settings: Sec011Settings, report: Report) -> None:
    accounts = {
        (account.namespace, account.name): account
        for account in kubernetes_objects(resources, ("ServiceAccount",))
    }
    for owner in pod_owners(resources):
        if owner.namespace in settings.token_namespaces:
            continue
        with report.judging(owner.identity, owner.urn) as violation:
            spec = pod_of(owner).spec
            name = spec.text("serviceAccountName")
            if name in (None, "default"):
                violation(
                    "runs as the account `default`, which every pod of the namespace shares: set "
                    "serviceAccountName"
                )
            mounted = spec.flag("automountServiceAccountToken")
            if mounted is None:
                mounted = _mounts(accounts.get((owner.namespace, name or "default")))
            if mounted:
                violation(
                    "mounts a token for the API server: set automountServiceAccountToken to false in the pod"
                )


def _mounts(account: KubernetesObject | None) -> bool:
    """What an account says for pods that say nothing: it mounts unless it refuses."""
    return account is None or account.root.flag("automountServiceAccountToken") is not False


RULE = Rule(
    id="SEC-011",
    description="Pods have service accounts of their own and mount no token for the API server.",
    remediation="Give the workload a ServiceAccount and set automountServiceAccountToken to false in both.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Sec011Settings,
    subjects=pod_subjects,
    judge=judge,
)

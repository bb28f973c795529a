"""SEC-002: an engine is reached by the gateway, and for its metrics by Prometheus; by nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Annotated

from pulumi_policy import EnforcementLevel, Severity
from pydantic import AfterValidator, Field

from policies.engine_commands import runs_engine
from policies.labels import selects
from policies.objects import Resource
from policies.pods import Pod, pod_of, pod_owners, pod_subjects
from policies.properties import Section
from policies.reachability import Policy, network, network_policies
from policies.rule import Report, Rule, Settings

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"

LOOPBACK = ip_network("127.0.0.0/8")
"""Nothing that comes over a network has such an address."""


def _network(text: str) -> str:
    return str(ip_network(text))


Network = Annotated[str, AfterValidator(_network)]


class Sec002Settings(Settings):
    callers: tuple[str, ...] = Field(
        default=("gateway", "prometheus"),
        description=f"values of the labels {NAME} or {COMPONENT} of pods that may reach engines",
    )
    networks: tuple[Network, ...] = Field(
        default=(),
        description="networks in CIDR notation that may reach engines, such as that of a Prometheus outside",
    )


def judge(resources: Sequence[Resource], settings: Sec002Settings, report: Report) -> None:
    policies = network_policies(resources)
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            if runs_engine(pod):
                for message in _problems(pod, policies, settings):
                    violation(message)


def _problems(pod: Pod, policies: Sequence[Policy], settings: Sec002Settings) -> Iterator[str]:
    labels = pod.labels()
    closing = [
        policy
        for policy in policies
        if policy.owner.namespace in (pod.owner.namespace, None)
        and selects(policy.selector, labels)
        and policy.isolates("Ingress")
    ]
    if not closing:
        yield (
            "no NetworkPolicy closes its pods: whoever is in the cluster reaches an API that asks for no "
            "token. Add one that refuses everything, and one that lets the gateway in"
        )
    for policy in closing:
        for rule in policy.rules("Ingress"):
            peers = policy.peers(rule, "Ingress")
            if not peers:
                yield f"{policy.identity} lets everybody in: name the gateway in {rule.at('from')}"
            for peer in peers:
                if not _accepted(peer, settings):
                    yield f"{policy.identity} lets in more than the gateway and Prometheus: {peer.path}"
            if not rule.sections("ports"):
                yield f"{policy.identity} opens every port: name the API's in {rule.at('ports')}"


def _accepted(peer: Section, settings: Sec002Settings) -> bool:
    if peer.has("ipBlock"):
        found = network(peer.section("ipBlock"))
        accepted = [LOOPBACK, *(ip_network(text) for text in settings.networks)]
        return any(
            found.version == other.version and found[0] in other and found[-1] in other for other in accepted
        )
    labels = peer.section("podSelector").labels("matchLabels")
    return labels.get(NAME) in settings.callers or labels.get(COMPONENT) in settings.callers


RULE = Rule(
    id="SEC-002",
    description="NetworkPolicies let nobody but the gateway and Prometheus reach an engine.",
    remediation="Engines check no tokens on most of their paths. Let only the gateway's pods in, on the port "
    "of the API, as serving/gateway/flows.py does.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Sec002Settings,
    subjects=pod_subjects,
    judge=judge,
)

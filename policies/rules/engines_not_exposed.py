"""SEC-001: engines have no entrance of their own, and a public gateway takes nothing without TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field, TypeAdapter

from policies.engine_commands import runs_engine
from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import Pod, pod_of, pod_owners
from policies.rule import Report, Rule, Settings
from policies.scaling import same_namespace
from policies.stack_configuration import section

OPEN_TYPES = ("LoadBalancer", "NodePort")
COMPONENT = "app.kubernetes.io/component"


class Sec001Settings(Settings):
    tls_ports: tuple[int, ...] = Field(
        default=(443,), description="ports of a Service behind which a public gateway speaks TLS"
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(service.identity, service.urn) for service in kubernetes_objects(resources, ("Service",))]


def judge(resources: Sequence[Resource], settings: Sec001Settings, report: Report) -> None:
    public = gateway_is_public()
    pods: list[Pod] = []
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn):
            pods.append(pod_of(owner))
    for service in kubernetes_objects(resources, ("Service",)):
        with report.judging(service.identity, service.urn) as violation:
            entrance = _entrance(service)
            if entrance is None:
                continue
            behind = [pod for pod in pods if _leads_to(service, pod)]
            for pod in behind:
                if runs_engine(pod):
                    violation(
                        f"{entrance} leads past the gateway to the engine of {pod.identity}, whose API asks "
                        "for no token: use ClusterIP, and let clients come through the gateway"
                    )
            if public and any(pod.labels().get(COMPONENT) == "gateway" for pod in behind):
                for message in _without_tls(service, settings):
                    violation(message)


def gateway_is_public() -> bool:
    """Whether the stack's configuration opens the gateway to the internet."""
    found = section("gateway", TypeAdapter(dict[str, object]))
    return found is not None and found.get("public") is not None


def _entrance(service: KubernetesObject) -> str | None:
    """What opens the Service to the outside; None if nothing does."""
    kind = service.spec.text("type")
    if kind in OPEN_TYPES:
        return f"type {kind}"
    return "externalIPs" if service.spec.texts("externalIPs") else None


def _leads_to(service: KubernetesObject, pod: Pod) -> bool:
    # Without a selector it leads to no pod: somebody else says where.
    selector = service.spec.labels("selector")
    labels = pod.labels()
    return (
        bool(selector)
        and same_namespace(service, pod.owner)
        and all(labels.get(key) == value for key, value in selector.items())
    )


def _without_tls(service: KubernetesObject, settings: Sec001Settings) -> Iterator[str]:
    for port in service.spec.sections("ports"):
        number = port.number("port")
        if number is not None and number not in settings.tls_ports:
            yield (
                f"{port.at('port')} is {number:g} and the gateway is public: tokens would travel in plain "
                f"text. Open {', '.join(map(str, settings.tls_ports))} only"
            )


RULE = Rule(
    id="SEC-001",
    description="No Service leads from outside to an engine, nor without TLS to a public gateway.",
    remediation="Give engines Services of type ClusterIP. A public gateway needs gateway.public.certificate "
    "and port 443 only.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Sec001Settings,
    subjects=subjects,
    judge=judge,
)

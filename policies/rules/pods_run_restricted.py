"""SEC-004: pods run without privileges, as the `restricted` Pod Security Standard demands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.objects import Resource
from policies.pods import Container, Pod, pod_of, pod_owners, pod_subjects
from policies.properties import Section
from policies.rule import Report, Rule, Settings

HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
SECCOMP_PROFILES = ("RuntimeDefault", "Localhost")


class Sec004Settings(Settings):
    allowed_capabilities: tuple[str, ...] = Field(
        default=("NET_BIND_SERVICE",),
        description="capabilities that a container may add; the standard allows one, for ports below 1024",
    )
    privileged_namespaces: tuple[str, ...] = Field(
        default=(),
        description="namespaces of device plugins, exporters and drivers, which cannot do without privileges",
    )


def judge(resources: Sequence[Resource], settings: Sec004Settings, report: Report) -> None:
    for owner in pod_owners(resources):
        if owner.namespace in settings.privileged_namespaces:
            continue
        # Each check by itself: a value that one of them cannot know yet must not excuse the others.
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            checks = [_host_namespaces(pod), _volumes(pod)]
            for container in pod.all_containers():
                checks += [
                    _user(pod, container),
                    _privileges(container),
                    _capabilities(container, settings.allowed_capabilities),
                    _seccomp(pod, container),
                    _host_ports(container),
                ]
            for check in checks:
                with report.judging(owner.identity, owner.urn):
                    for message in check:
                        violation(message)


def _host_namespaces(pod: Pod) -> Iterator[str]:
    for key in HOST_NAMESPACES:
        if pod.spec.flag(key):
            yield f"{pod.spec.at(key)} shares the node's own: remove it"


def _volumes(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.sections("volumes"):
        if volume.has("hostPath"):
            path = volume.section("hostPath").text("path")
            yield f"{volume.at('hostPath')} mounts {path} of the node: use a claim, a ConfigMap or emptyDir"


def _security(of: Section) -> Section:
    return of.section("securityContext")


def _user(pod: Pod, container: Container) -> Iterator[str]:
    """A container's own settings go before the pod's."""
    own, shared = _security(container.section), _security(pod.spec)
    user = own.number("runAsUser")
    user = shared.number("runAsUser") if user is None else user
    non_root = own.flag("runAsNonRoot")
    non_root = shared.flag("runAsNonRoot") if non_root is None else non_root
    if user == 0:
        yield f"container {container.name} runs as root: set runAsUser to another number"
    elif not non_root:
        yield f"container {container.name} may run as root: set runAsNonRoot to true"


def _privileges(container: Container) -> Iterator[str]:
    security = _security(container.section)
    if security.flag("privileged"):
        yield f"container {container.name} is privileged: remove {security.at('privileged')}"
    elif security.flag("allowPrivilegeEscalation") is not False:
        yield f"container {container.name} may gain privileges: set allowPrivilegeEscalation to false"


def _capabilities(container: Container, allowed: Sequence[str]) -> Iterator[str]:
    capabilities = _security(container.section).section("capabilities")
    added = [name for name in capabilities.texts("add") if name not in allowed]
    if added:
        yield f"container {container.name} adds the capabilities {', '.join(added)}: remove them"
    if "ALL" not in capabilities.texts("drop"):
        yield f"container {container.name} keeps the default capabilities: set capabilities.drop to [ALL]"


def _seccomp(pod: Pod, container: Container) -> Iterator[str]:
    profile = _security(container.section).section("seccompProfile").text("type")
    if profile is None:
        profile = _security(pod.spec).section("seccompProfile").text("type")
    if profile not in SECCOMP_PROFILES:
        found = "no seccomp profile" if profile is None else f"the seccomp profile {profile}"
        yield f"container {container.name} has {found}: set seccompProfile.type to RuntimeDefault"


def _host_ports(container: Container) -> Iterator[str]:
    for port in container.section.sections("ports"):
        if port.number("hostPort"):
            yield f"container {container.name} takes a port of the node: remove {port.at('hostPort')}"


RULE = Rule(
    id="SEC-004",
    description="Pods run without root, added privileges and access to the node.",
    remediation="Set the security contexts of the restricted Pod Security Standard, as infra/pod_security.py "
    "does. What must have privileges gets a namespace of its own, named in privileged_namespaces.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sec004Settings,
    subjects=pod_subjects,
    judge=judge,
)

"""SEC-009: no credential is readable in what is registered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, Severity

from policies.credentials import credentials
from policies.known_values import known_values
from policies.objects import STACK_TYPE, Resource, kubernetes_object
from policies.properties import Section
from policies.rule import Report, Rule, Settings
from policies.secret_marks import is_marked

SECRET_FIELDS = ("data", "stringData")
"""Where a Secret keeps what is secret."""


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(identity(resource), resource.urn) for resource in _own(resources)]


def _own(resources: Sequence[Resource]) -> list[Resource]:
    """Everything but the stack: SEC-009-OUTPUTS judges what it exports."""
    return [resource for resource in resources if resource.resource_type != STACK_TYPE]


def identity(resource: Resource) -> str:
    """What the report calls it: a Kubernetes object by its own name, anything else by type and name."""
    found = kubernetes_object(resource)
    return f"{resource.resource_type}/{resource.name}" if found is None else found.identity


def judge(resources: Sequence[Resource], settings: Settings, report: Report) -> None:
    for resource in _own(resources):
        name, known = identity(resource), known_values(resource.props)
        with report.judging(name, resource.urn) as violation:
            for problem in _problems(resource, known.values):
                violation(problem)
        for error in known.unknown:
            with report.judging(name, resource.urn):
                raise error


def _problems(resource: Resource, values: object) -> Iterator[str]:
    found = kubernetes_object(resource)
    secret_object = found if found is not None and found.kind == "Secret" else None
    if secret_object is not None:
        for field in SECRET_FIELDS:
            if secret_object.root.has(field) and not _secret(resource.urn, field, secret_object.root):
                yield (
                    f"{field} is no Pulumi secret: state and previews show it to whoever may read them. Wrap "
                    "it in pulumi.Output.secret"
                )
    for credential in credentials(values):
        marked = is_marked(resource.urn, credential.place)
        if secret_object is not None and credential.place[0] in SECRET_FIELDS:
            continue
        if marked and found is None:
            # Encrypted in the state, and what the cloud does with it is its own affair.
            continue
        why = ", and whoever may read the object reads it, Pulumi secret or not" if marked else ""
        yield (
            f"{credential.path} looks like {credential.called}{why}: it is not shown here. Revoke it, and "
            "let the container read the new one from a mounted Secret"
        )


def _secret(urn: str, field: str, properties: Section) -> bool:
    """Whether all of a field is marked, as a whole or each of its values."""
    if is_marked(urn, (field,)):
        return True
    return all(is_marked(urn, (field, key)) for key in properties.section(field).values)


RULE = Rule(
    id="SEC-009",
    description="No token, key or password is readable in a registered resource.",
    remediation="Keep credentials in Secrets that the program does not hold itself, mounted as files: see "
    "docs/secrets.md.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Settings,
    subjects=subjects,
    judge=judge,
)

"""SEC-009-OUTPUTS: no credential is readable in the outputs of the stack."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity

from policies.credentials import credentials
from policies.known_values import known_values
from policies.objects import STACK_TYPE, Resource
from policies.rule import Report, Rule, Settings
from policies.secret_marks import is_marked
from policies.spending import STACK


def stacks(resources: Sequence[Resource]) -> list[Resource]:
    """The stack itself, whose properties are its outputs once all else is registered."""
    return [resource for resource in resources if resource.resource_type == STACK_TYPE]


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(STACK, stack.urn) for stack in stacks(resources)]


def judge(resources: Sequence[Resource], settings: Settings, report: Report) -> None:
    for stack in stacks(resources):
        outputs = known_values(stack.props)
        for credential in credentials(outputs.values):
            if not is_marked(stack.urn, credential.place):
                report.violation(
                    STACK,
                    stack.urn,
                    f"the output {credential.path} looks like {credential.called}: it is not shown here, but "
                    "`pulumi up` and every log of it do. Export pulumi.Output.secret, or nothing",
                )
        for error in outputs.unknown:
            with report.judging(STACK, stack.urn):
                raise error


RULE = Rule(
    id="SEC-009-OUTPUTS",
    description="No token, key or password is readable in an output of the stack.",
    remediation="Export it as pulumi.Output.secret, or better not at all: see docs/secrets.md.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Settings,
    subjects=subjects,
    judge=judge,
)

"""What every rule has: an id, a level, settings with defaults, waivers, and one way to report.

A rule is a function that looks at resources and reports violations. Everything else is done here: reading its
settings, excusing what is waived, refusing waivers that have expired, and saying what could not be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Literal, TypeVar

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.objects import Resource
from policies.properties import UnexpectedValueError
from policies.received import received
from policies.waivers import Waiver

DOCUMENTATION = "docs/policies.md"


class Settings(BaseModel):
    """Configuration of a rule. The defaults are here because only Pulumi's engine fills in a schema's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unknown_values: Literal["note", "refuse"] = Field(
        default="note",
        description="what a preview does where a value that the rule needs is not known yet: note it and "
        "judge when the resource is created, or refuse",
    )
    waivers: tuple[Waiver, ...] = Field(default=(), description="exceptions from the rule")


class UnjudgedError(UnknownValueError):
    """Says which values were unknown. The SDK turns it into an advisory note, whatever the rule's level."""

    def __init__(self, message: str) -> None:
        super().__init__(UNKNOWN_STRING_VALUE, [])
        self.message = message


@dataclass
class Report:
    """Takes what one run of a rule finds."""

    settings: Settings
    today: date
    report_violation: ReportViolation
    unknown: list[str] = field(default_factory=list)

    def violation(self, identity: str, urn: str, message: str) -> None:
        """Reports that the resource breaks the rule, unless a waiver covers it. urn: empty for the stack."""
        if not any(
            waiver.covers(identity) and not waiver.expired(self.today) for waiver in self.settings.waivers
        ):
            self.report_violation(f"{identity}: {message}", urn or None)

    @contextmanager
    def judging(self, identity: str, urn: str) -> Iterator[Callable[[str], None]]:
        """Around the judgement of one resource: yields the function that reports a violation of it.

        A value that is not known yet ends the judgement and is noted; an odd one is a violation.
        """

        def violation(message: str) -> None:
            self.violation(identity, urn, message)

        try:
            yield violation
        except UnknownValueError as error:
            if self.settings.unknown_values == "refuse":
                violation(f"{error.message}, and unknown_values is refuse: give a literal value")
            else:
                self.unknown.append(f"{identity}: {error.message}")
        except UnexpectedValueError as error:
            violation(f"{error}: it cannot be judged, and Kubernetes would refuse it")

    def expired_waivers(self, identity: str, urn: str) -> None:
        """Reports the waivers of this resource that hold no more, whether it still needs them or not."""
        for waiver in self.settings.waivers:
            if waiver.covers(identity) and waiver.expired(self.today):
                self.report_violation(
                    f"{identity}: its waiver expired on {waiver.expires} ({waiver.reason}): remove it, or "
                    "agree on another date",
                    urn or None,
                )


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Rule(Generic[S]):
    """One rule of the catalogue.

    scope: `resource` judges each resource before it is created; `stack` needs to see others with it, and so
    judges once all are registered.
    judge: gets resources, settings and the report. subjects: what it judges of them, as identity and URN.
    """

    id: str
    description: str
    remediation: str
    severity: Severity
    level: EnforcementLevel
    scope: Literal["resource", "stack"]
    settings: type[S]
    subjects: Callable[[Sequence[Resource]], Sequence[tuple[str, str]]]
    judge: Callable[[Sequence[Resource], S, Report], None]

    def policy(self) -> Policy:
        """The rule as Pulumi runs it."""

        def validate_resource(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
            self._run([received(args)], args.get_config(), report_violation)

        def validate_stack(args: StackValidationArgs, report_violation: ReportViolation) -> None:
            self._run(
                [received(resource) for resource in args.resources], args.get_config(), report_violation
            )

        metadata = {
            "name": self.id,
            "description": self.description,
            "enforcement_level": self.level,
            "config_schema": PolicyConfigSchema(settings_schema(self.settings)),
            "severity": self.severity,
            "remediation_steps": self.remediation,
            "url": f"{DOCUMENTATION}#{self.id.lower()}",
        }
        if self.scope == "resource":
            return ResourceValidationPolicy(validate=validate_resource, **metadata)
        return StackValidationPolicy(validate=validate_stack, **metadata)

    def _run(
        self, resources: Sequence[Resource], config: Mapping[str, Any], report_violation: ReportViolation
    ) -> None:
        try:
            settings = self.settings.model_validate(config)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                place = ".".join(str(step) for step in problem["loc"])
                report_violation(f"configuration of {self.id}: {place}: {problem['msg']}", None)
            return
        report = Report(settings, date.today(), report_violation)
        for identity, urn in self.subjects(resources):
            report.expired_waivers(identity, urn)
        self.judge(resources, settings, report)
        if report.unknown:
            raise UnjudgedError("; ".join(report.unknown))


def settings_schema(settings: type[Settings]) -> dict[str, dict[str, Any]]:
    """JSON schema of each setting, without references: Pulumi takes only self-contained ones."""
    schema = settings.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(item) for item in part] if isinstance(part, list) else part

    return resolved(schema["properties"])

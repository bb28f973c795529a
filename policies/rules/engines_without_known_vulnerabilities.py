"""SUP-002: engines run in no version that is known to be open to attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.containers import judge_containers
from policies.engine_releases import engine_release
from policies.engine_versions import too_old
from policies.objects import Resource
from policies.pods import Container, pod_subjects
from policies.rule import Report, Rule, Settings


class Sup002Settings(Settings):
    tags: Mapping[str, str] = Field(
        default={},
        description="versions behind tags that do not say theirs, such as the tags of your own builds: "
        '{"2026-11-nightly": "0.33.0"}',
    )


def judge(resources: Sequence[Resource], settings: Sup002Settings, report: Report) -> None:
    def problems(container: Container) -> Iterator[str]:
        release = engine_release(container)
        if release is None:
            return
        problem = too_old(release.engine, settings.tags.get(release.tag, release.tag))
        if problem is not None:
            yield f"{release.engine} {problem}"

    judge_containers(resources, report, problems)


RULE = Rule(
    id="SUP-002",
    description="Inference engines are no older than the oldest version without known holes.",
    remediation="Run the version of policies/data/engine_versions.yaml or a newer one. The plan is computed "
    "for the engine of serving/images/data/images.yaml: change it there.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sup002Settings,
    subjects=pod_subjects,
    judge=judge,
)

"""SUP-002-ADVICE: an engine that nobody develops any more gets no fix for the next hole."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_policy import EnforcementLevel, Severity

from policies.engine_releases import engine_release
from policies.objects import Resource
from policies.pods import pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings

UNMAINTAINED = {
    "tgi": "text-generation-inference is in maintenance mode since 2025-12-11, 3.3.7 is its last tag"
}
"""Engines that are no longer developed, and what their repositories say. As of 2026-11-23."""


def judge(resources: Sequence[Resource], settings: Settings, report: Report) -> None:
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            for container in pod_of(owner).all_containers():
                release = engine_release(container)
                if release is not None and release.engine in UNMAINTAINED:
                    violation(
                        f"container {container.name}: {UNMAINTAINED[release.engine]}: move to vLLM or SGLang"
                    )


RULE = Rule(
    id="SUP-002-ADVICE",
    description="Inference engines are still maintained.",
    remediation="Plan the move to an engine that gets security fixes.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.ADVISORY,
    scope="resource",
    settings=Settings,
    subjects=pod_subjects,
    judge=judge,
)

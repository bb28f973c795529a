"""Rules that look at one container after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from policies.objects import Resource
from policies.pods import Container, pod_of, pod_owners
from policies.rule import Report


def judge_containers(
    resources: Sequence[Resource], report: Report, problems: Callable[[Container], Iterable[str]]
) -> None:
    """Reports what `problems` says of each container, those that run before the others included."""
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            for container in pod_of(owner).all_containers():
                # Each by itself: a value that one of them cannot know yet must not excuse the others.
                with report.judging(owner.identity, owner.urn):
                    for problem in problems(container):
                        violation(f"container {container.name}: {problem}")

"""What a run of the program registered, with the questions that tests ask about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stacks.commands import recording
from stacks.commands.recording import STACK_TYPE, Registered
from stacks.load import PROJECT

__all__ = ["Recording", "Registered", "record", "stack_outputs"]


class Recording(recording.Recording):
    """Everything that one run of the program registered, in order."""

    def one(self, kind: str, name: str) -> Registered:
        """The Kubernetes object of this kind and name."""
        found = [
            resource
            for resource in self.resources
            if resource.inputs.get("kind") == kind and resource.inputs["metadata"]["name"] == name
        ]
        assert len(found) == 1, (kind, name, [resource.urn for resource in self.resources])
        return found[0]

    def behind(self, resource: Registered) -> set[str]:
        """URNs of everything that has to exist before `resource`, however many steps away."""
        by_urn = {other.urn: other for other in self.resources}
        reached: set[str] = set()
        waiting = [resource]
        while waiting:
            current = waiting.pop()
            provider = current.provider.rpartition("::")[0]
            for urn in (*current.dependencies, current.parent, provider):
                if urn in by_urn and urn not in reached:
                    reached.add(urn)
                    waiting.append(by_urn[urn])
        return reached


def record(program: Callable[[], None], stack: str = "test", project: str = PROJECT) -> Recording:
    """Runs `program` as the engine would, for an update, and returns what it registered."""
    recorded = recording.record(program, stack, project)
    return Recording(recorded.resources, recorded.outputs)


def stack_outputs(recorded: Recording) -> dict[str, Any]:
    """What the program exports."""
    return next(outputs for urn, outputs in recorded.outputs.items() if f"::{STACK_TYPE}::" in urn)

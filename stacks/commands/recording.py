"""Runs the program without an engine, a cluster or a plugin, and keeps what it registers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

from stacks.load import PROJECT

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Registered:
    """One registered resource: what the engine would have been told."""

    urn: str
    type: str
    name: str
    parent: str
    provider: str
    inputs: dict[str, Any]
    dependencies: tuple[str, ...]

    @property
    def component(self) -> bool:
        """Whether it is one of our components, which no provider manages."""
        return self.type.startswith("llm-platform:")


@dataclass
class Recording:
    """Everything that one run of the program registered, in order."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Registered]:
        return iter(self.resources)


class _Nothing(Mocks):
    """The monitor answers by itself; a call to a provider or a read of an existing resource has no answer."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise AssertionError(f"the program must not read {args.name}")

    def call(self, args: Any) -> Any:
        raise AssertionError(f"the program must not call {args.token}")


class _Monitor(MockMonitor):
    """Every resource comes out as it went in; one of a type in `states` with these properties, too.

    The SDK's own monitor unpacks the inputs and packs the same again as outputs, in an event loop of its own
    for each resource: a tenth of a check of fifty models.
    """

    def __init__(self, mocks: Mocks, recording: Recording, states: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(mocks)
        self._recording = recording
        self._states = states

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the name is the protocol's)
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self._recording.resources.append(
            Registered(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                provider=request.provider,
                inputs=_whole_numbers(rpc.deserialize_properties(request.object)),
                dependencies=tuple(request.dependencies),
            )
        )
        response = resource_pb2.RegisterResourceResponse(
            urn=urn, id=f"{request.name}-id", object=request.object
        )
        response.object.update(self._states.get(request.type, {}))
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        outputs = _whole_numbers(rpc.deserialize_properties(request.outputs))
        # set_mocks brings a stack of its own, with the same URN and no outputs, which may register them last.
        if outputs or request.urn not in self._recording.outputs:
            self._recording.outputs[request.urn] = outputs
        return super().RegisterResourceOutputs(request)


def _whole_numbers(value: Any) -> Any:
    """Protobuf knows floats only; a manifest says 8000, not 8000.0."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


LOAD_BALANCER = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": [{"port": 8080}]}]}}}


def record(program: Callable[[], None], stack: str = "test", project: str = PROJECT) -> Recording:
    """Runs `program` as the engine would, for an update, and returns what it registered."""
    recording = Recording()
    mocks = _Nothing()
    # One loop per run: tasks that a failed run left behind must not wake up in the next one.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        monitor = _Monitor(mocks, recording, {"kubernetes:core/v1:Service": LOAD_BALANCER})
        set_mocks(mocks, project=project, stack=stack, preview=False, monitor=monitor)
        # set_mocks brings a stack that is closed already; the program needs one that still takes exports.
        set_root_resource(None)  # pyright: ignore[reportArgumentType] (the variable itself may be None)
        recording.outputs.clear()
        loop.run_until_complete(run_in_stack(program))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return recording

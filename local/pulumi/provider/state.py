"""The saved state of an object: what the server answered, and beside it what the program asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.values import Object, Properties, from_kubernetes, to_kubernetes

_INPUTS: Final = "__inputs"
_INITIAL_API_VERSION: Final = "__initialApiVersion"
_FIELD_MANAGER: Final = "__fieldManager"


@dataclass(frozen=True)
class State:
    """The saved state of one object, secrets revealed."""

    inputs: Object
    live: Object
    initial_api_version: str | None
    field_manager: str | None


def parse(outputs: Mapping[str, Any]) -> State:
    """Reads the outputs that this provider or the official plugin saved."""
    revealed = to_kubernetes(outputs)
    return State(
        inputs=revealed.pop(_INPUTS, {}),
        initial_api_version=revealed.pop(_INITIAL_API_VERSION, None),
        field_manager=revealed.pop(_FIELD_MANAGER, None),
        live=revealed,
    )


def build(
    inputs: Object,
    live: Object,
    *,
    secret_inputs: Mapping[str, Any],
    initial_api_version: str,
    field_manager: str,
) -> Properties:
    """Outputs to save. `secret_inputs` are the inputs as the engine sent them: they say what is secret."""
    outputs = mark_secrets(from_kubernetes(live), secret_inputs)
    outputs[_INPUTS] = mark_secrets(from_kubernetes(inputs), secret_inputs)
    outputs[_INITIAL_API_VERSION] = initial_api_version
    outputs[_FIELD_MANAGER] = field_manager
    return outputs

"""What a run is aimed at: the gateway's address, and what the stack file promises for the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from local.cluster import cluster
from local.cluster.cluster import Cluster
from local.cluster.ports import chosen
from local.load.scenario import SCENARIOS, Scenario
from local.paths import BIN
from local.token import authorization
from local.up import gateway_address
from serving.gateway.paths import DOES
from sizing.labels import NODE_POOL_LABEL
from stacks.config import Model, Stack
from stacks.signing_keys import KeyFileError


class TargetError(Exception):
    """There is nothing to load; the text says what to do."""


@dataclass(frozen=True)
class Target:
    """gateway, prometheus: addresses on loopback. authorization: header that the gateway wants.

    gpus: of one replica.
    """

    gateway: str
    authorization: Mapping[str, str] = field(repr=False)
    prometheus: str
    model: Model

    @property
    def node_selector(self) -> str:
        return f"{NODE_POOL_LABEL}={self.model.node_pool}"

    @property
    def gpus(self) -> int:
        return self.model.tensor_parallel


def check_scenario(scenario: Scenario, model: Model) -> None:
    """Whether the scenario says what requests of the model's task need. Raises TargetError if not."""
    label = f"scenario {scenario.name}: model {model.name} {DOES[model.task]}, so"
    if model.task != "generate":
        if scenario.output_tokens is not None:
            raise TargetError(f"{label} leave out output_tokens")
        return
    if scenario.output_tokens is None:
        raise TargetError(
            f"{label} say how long replies are: output_tokens, as in {SCENARIOS / 'burst.yaml'}"
        )
    if scenario.inputs != 1:
        raise TargetError(f"{label} leave out inputs, which is {scenario.inputs}")


def find_target(stack: Stack, model: str) -> Target:
    """The running cluster and the model called `model`. Raises TargetError or DeployError."""
    if not cluster.states():
        raise TargetError("the local cluster is not running: `make up` starts it")
    models = {row.name: row for row in stack.models}
    if model not in models:
        raise TargetError(f"the stack has no model {model!r}; it has {', '.join(models)}")
    try:
        header = authorization()
    except KeyFileError as error:
        raise TargetError(str(error)) from None
    return Target(
        gateway=gateway_address(Cluster(BIN / "kubectl")),
        authorization=header,
        prometheus=f"http://127.0.0.1:{chosen().prometheus}",
        model=models[model],
    )

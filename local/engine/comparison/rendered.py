"""The command lines that this repository's stacks give to vLLM."""

from __future__ import annotations

from dataclasses import dataclass

from serving.engines.vllm import arguments
from stacks.load import STACKS, from_file
from stacks.plan.interpret import node_pool, replica, served_names


@dataclass(frozen=True)
class CommandLine:
    """Arguments of one model's container, and the hardware it runs on."""

    stack: str
    model: str
    arguments: list[str]
    accelerator: str
    gpus: int


def rendered_command_lines() -> list[CommandLine]:
    """Arguments of every vLLM container of every stack file. Raises StackError on a broken one.

    In place of the folder with the weights, which is on no machine but a cluster's, the model's name.
    """
    found = []
    for path in sorted(STACKS.glob("Pulumi.*.yaml")):
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        stack = from_file(name)
        pools = {pool.name: node_pool(pool, stack) for pool in stack.node_pools}
        for model in stack.models:
            pool = pools[model.node_pool]
            described = replica(model, pool, served_names(stack)[model.name])
            command = [described.model.name, *arguments(described)[1:]]
            accelerator = pool.accelerator.name
            found.append(CommandLine(name, model.name, command, accelerator, model.tensor_parallel))
    return found

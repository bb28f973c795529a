"""The command lines that this repository's stacks give to vLLM."""

from __future__ import annotations

from dataclasses import dataclass

from serving.engines.vllm import arguments
from stacks.load import STACKS, from_file
from stacks.plan import make_plan


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
        for model in make_plan(from_file(name)).models:
            command = [model.model, *arguments(model.replica)[1:]]
            found.append(CommandLine(name, model.name, command, model.accelerator, model.tensor_parallel))
    return found

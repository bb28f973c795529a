"""Rules of `models[].tool_calls`, `reasoning` and `chat_template_kwargs`: what vLLM would refuse at its start
or with each request, and what it would not act on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from sizing.models.chat import NONE, PARSERS, RESERVED_TEMPLATE_ARGUMENTS, ChatFormat
from sizing.models.models import Model as ModelFacts
from stacks.config import Model
from stacks.plan.chat import chat_format_of
from stacks.problems import Problem

MODEL_OF_ALL = "hf"
"""A parser that goes by the tokenizer's own response template, for both or for neither."""


def check_chat(path: str, model: Model, facts: ModelFacts) -> Iterator[Problem]:
    if model.task != "generate":
        for field in ("tool_calls", "reasoning", "chat_template_kwargs"):
            if getattr(model, field) is not None:
                yield Problem(f"{path}.{field}", f"has no effect with task {model.task}: remove it")
        return
    names = [*_check_names(path, model)]
    yield from names
    if not names:
        found = chat_format_of(model, facts)
        yield from _check_parsers(path, model, facts, found)
        yield from _check_default(path, model, found)
        yield from _check_arguments(path, model, facts)


def _check_names(path: str, model: Model) -> Iterator[Problem]:
    tools, reasoning = model.tool_calls, model.reasoning
    if tools is not None:
        yield from _check_name(f"{path}.tool_calls.parser", tools.parser, "tool", PARSERS.tool_parsers)
    if reasoning is not None and reasoning.parser is not None:
        yield from _check_name(
            f"{path}.reasoning.parser", reasoning.parser, "reasoning", PARSERS.reasoning_parsers
        )
    if reasoning is not None and reasoning.parser is None and reasoning.default is None:
        yield Problem(f"{path}.reasoning", "is empty: set parser, default or both, or remove it")


def _check_name(path: str, name: str, kind: str, known: Sequence[str]) -> Iterator[Problem]:
    if name in known or name == NONE:
        return
    near = get_close_matches(name, known, n=4, cutoff=0.45)
    choices = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
    yield Problem(
        path,
        f'"{name}" is not a {kind} parser of vLLM {PARSERS.version}: {choices} Write "{NONE}" for no parser',
    )


def _check_parsers(path: str, model: Model, facts: ModelFacts, found: ChatFormat) -> Iterator[Problem]:
    family = facts.architecture.family
    built_in = PARSERS.built_in_reasoning.get(family)
    if built_in is not None and found.reasoning != built_in:
        yield Problem(
            f"{path}.reasoning.parser",
            f'"{found.reasoning or NONE}" cannot be used with {model.model}: vLLM {PARSERS.version} reads '
            f"{family} by {built_in}, flag or no flag. Leave parser out",
        )
    elif built_in is None and found.reasoning in PARSERS.built_in_reasoning.values():
        families = [name for name, parser in PARSERS.built_in_reasoning.items() if parser == found.reasoning]
        yield Problem(
            f"{path}.reasoning.parser",
            f'"{found.reasoning}" reads models of {", ".join(families)} only, and {model.model} is {family}',
        )
    chosen = {found.tools, found.reasoning} - {None}
    if MODEL_OF_ALL in chosen and len(chosen) > 1:
        place = "tool_calls" if found.tools == MODEL_OF_ALL else "reasoning"
        others = ", ".join(sorted(map(str, chosen - {MODEL_OF_ALL})))
        yield Problem(
            f"{path}.{place}.parser",
            f'"{MODEL_OF_ALL}" cannot be combined with {others}: use it for tools and thoughts, or set the '
            f'other to "{NONE}"',
        )


def _check_default(path: str, model: Model, found: ChatFormat) -> Iterator[Problem]:
    wanted = None if model.reasoning is None else model.reasoning.default
    if wanted is None:
        return
    place = f"{path}.reasoning.default"
    if found.reasoning is None:
        yield Problem(
            place,
            f'"{wanted}" needs a reasoning parser, which says how {model.model} is told: set '
            "reasoning.parser, or use chat_template_kwargs",
        )
        return
    switch = PARSERS.thinking.get(found.reasoning)
    if switch is None:
        yield Problem(
            place,
            f'"{wanted}" cannot be set: no switch of models read by {found.reasoning} is known. Look into '
            "the model's chat template and use chat_template_kwargs",
        )
    elif switch.argument is None and wanted == "off":
        yield Problem(
            place,
            f'"off" cannot be set: models read by {found.reasoning} always think. Clients of gpt-oss shorten '
            "its thoughts with reasoning_effort: low; otherwise choose another model",
        )
    elif switch.argument is not None and found.template_arguments.get(switch.argument) != (wanted == "on"):
        given = json.dumps(found.template_arguments.get(switch.argument))
        yield Problem(
            place,
            f'"{wanted}" contradicts chat_template_kwargs.{switch.argument}: {given}. Keep one of them',
        )


def _check_arguments(path: str, model: Model, facts: ModelFacts) -> Iterator[Problem]:
    given = {} if model.chat_template_kwargs is None else model.chat_template_kwargs.values
    place = f"{path}.chat_template_kwargs"
    if given and facts.architecture.family in PARSERS.built_in_reasoning:
        yield Problem(
            place,
            f"has no effect on {model.model}: vLLM {PARSERS.version} writes the prompt of "
            f"{facts.architecture.family} without a chat template. Clients set reasoning_effort instead",
        )
    for name in RESERVED_TEMPLATE_ARGUMENTS:
        if name in given:
            yield Problem(f"{place}.{name}", "is refused by vLLM with every request: remove it")
    try:
        json.dumps(given, allow_nan=False)
    except ValueError:
        yield Problem(place, "holds a number that JSON cannot express (.nan or .inf): write a finite one")

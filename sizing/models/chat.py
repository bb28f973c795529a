"""Tools and thoughts: by which parsers an engine finds them in what a model writes. Pure.

A model calls a tool, and thinks, in a notation of its own. Without the right parser a request with `tools` is
refused with 400, and thoughts stand in the answer's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter

from sizing.tables import read_data

NONE: Final = "none"
"""What a stack file writes for no parser, also where the model's row has one."""

Thinking = Literal["on", "off"]

RESERVED_TEMPLATE_ARGUMENTS = ("chat_template", "tokenize")
"""What vLLM 0.32.0 refuses as an argument of a chat template, with each request (vllm/renderers/hf.py)."""


@dataclass(frozen=True)
class ThinkingSwitch:
    """argument: of the chat template; None if the model always thinks. by_default: whether it thinks without
    the argument."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    argument: str | None
    by_default: bool


@dataclass(frozen=True)
class ParserTable:
    """data/vllm_parsers.yaml, which says what its fields mean."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    version: str
    built_in_reasoning: Mapping[str, str]
    tool_parsers: tuple[str, ...]
    reasoning_parsers: tuple[str, ...]
    thinking: Mapping[str, ThinkingSwitch]


PARSERS = TypeAdapter(ParserTable).validate_python(
    read_data(Path(__file__).parent / "data" / "vllm_parsers.yaml")
)


@dataclass(frozen=True)
class KnownParsers:
    """What a row of data/models.yaml says of a model. tools, reasoning: names of parsers; None for a model
    that was not trained for it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    tools: str | None
    reasoning: str | None
    as_of: date
    source: str


@dataclass(frozen=True)
class ChatFormat:
    """How an engine reads one model.

    tools, reasoning: names of parsers; None for no parser. built_in: whether the engine sets the reasoning
    parser by itself. template_arguments: given to the chat template with every request that does not say
    otherwise.
    """

    tools: str | None = None
    reasoning: str | None = None
    built_in: bool = False
    # Equal formats are equal with it; a mapping only cannot be hashed.
    template_arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def thinks(self) -> bool | None:
        """Whether it thinks when a request does not say; None where that is not known."""
        switch = None if self.reasoning is None else PARSERS.thinking.get(self.reasoning)
        if switch is None:
            return None
        given = None if switch.argument is None else self.template_arguments.get(switch.argument)
        return given if isinstance(given, bool) else switch.by_default

    def described(self) -> str:
        """What clients can expect, in a line of the plan."""
        tools = (
            "no tool parser: requests with tools get 400" if self.tools is None else f"tools by {self.tools}"
        )
        if self.reasoning is None:
            return f"{tools}; no reasoning parser"
        state = {True: ", on unless a request says otherwise", False: ", off unless a request asks", None: ""}
        switch = PARSERS.thinking.get(self.reasoning)
        always = switch is not None and switch.argument is None
        how = ", always on" if always else state[self.thinks]
        built_in = " (built in)" if self.built_in else ""
        return f"{tools}; thoughts by {self.reasoning}{built_in}{how}"


def chat_format(
    family: str,
    known: KnownParsers | None,
    tools: str | None,
    reasoning: str | None,
    thinking: Thinking | None,
    template_arguments: Mapping[str, object],
) -> ChatFormat:
    """The format of a model of this family (model_type) with this row, as a checked stack file changes it.

    tools, reasoning: of the stack file: a name, NONE, or None for what the row says. thinking: None leaves it
    to the model.
    """
    built_in = PARSERS.built_in_reasoning.get(family)
    row_tools, row_reasoning = (None, None) if known is None else (known.tools, known.reasoning)
    parser = _chosen(reasoning, row_reasoning if built_in is None else built_in)
    switch = None if parser is None else PARSERS.thinking.get(parser)
    switched = (
        {}
        if thinking is None or switch is None or switch.argument is None
        else {switch.argument: thinking == "on"}
    )
    return ChatFormat(
        tools=_chosen(tools, row_tools),
        reasoning=parser,
        built_in=built_in is not None and parser == built_in,
        template_arguments={**switched, **template_arguments},
    )


def _chosen(asked: str | None, known: str | None) -> str | None:
    if asked == NONE:
        return None
    return known if asked is None else asked

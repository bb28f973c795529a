"""Parsers of a server: of tool calls and of thoughts, as vLLM's flags choose them and refuses unknown ones.

The emulator makes replies that are parsed already. What it takes from a parser is whether there is one, and
whether models with it think unless they are told not to, or only if they are told to.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from local.engine.refusal import Refused
from sizing.models.models import Model

TABLE = Path(__file__).parent / "data" / "parsers.json"

HARMONY = "gpt_oss"
"""Family of models whose own format vLLM always parses: thoughts and calls without a flag."""

HARMONY_REASONING = "openai_gptoss"


@dataclass(frozen=True)
class Parsers:
    """tool: of calls; None without --enable-auto-tool-choice. reasoning: of thoughts. harmony: whether the
    model is gpt-oss. defaults: --default-chat-template-kwargs.
    """

    tool: str | None = None
    reasoning: str | None = None
    harmony: bool = False
    defaults: Mapping[str, Any] | None = None

    @property
    def calls(self) -> bool:
        """Whether the server can call tools."""
        return self.tool is not None or self.harmony

    def thinks(self, keywords: Mapping[str, Any]) -> bool:
        """Whether a reply begins with thoughts. keywords: for the chat template, of the request and defaults.

        Without a parser nothing is told apart: a model's thoughts are then part of its words.
        """
        if self.reasoning is None:
            return False
        if self.harmony:
            return True
        wanted = [keywords[name] for name in ("enable_thinking", "thinking") if name in keywords]
        if self.reasoning in parser_names()["thinks_when_asked"]:
            return any(wanted)
        return all(wanted)


@cache
def parser_names() -> Mapping[str, list[str]]:
    return orjson.loads(TABLE.read_bytes())


def parsers(flags: argparse.Namespace, served: Model) -> Parsers:
    """Raises Refused on what vLLM 0.32.0 refuses at start."""
    automatic = flags.enable_auto_tool_choice is True
    tool = flags.tool_call_parser
    if automatic and not tool:
        raise Refused("Error: --enable-auto-tool-choice requires --tool-call-parser")
    if automatic:
        _check("tool call", tool, parser_names()["tool"])
    if flags.reasoning_parser:
        _check("reasoning", flags.reasoning_parser, parser_names()["reasoning"])
    if (
        automatic
        and "hf" in (tool, flags.reasoning_parser)
        and {tool, flags.reasoning_parser} - {"hf", None, ""}
    ):
        raise Refused("The hf parser cannot be combined with other reasoning or tool call parsers")
    defaults = flags.default_chat_template_kwargs
    if defaults is not None and not isinstance(defaults, dict):
        raise Refused("default_chat_template_kwargs takes a JSON object.")
    harmony = served.architecture.family == HARMONY
    return Parsers(
        tool=tool if automatic else None,
        reasoning=flags.reasoning_parser or (HARMONY_REASONING if harmony else None),
        harmony=harmony,
        defaults=defaults,
    )


def _check(kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise Refused(f"invalid {kind} parser: {name} (chose from {{ {','.join(known)} }})")

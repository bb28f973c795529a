"""How the engines of a model read tools and thoughts, from its section and its row."""

from __future__ import annotations

from serving.engines import engine_of
from sizing.models.chat import NONE, ChatFormat, chat_format
from sizing.models.models import Model as ModelFacts
from stacks.config import Model


def chat_format_of(model: Model, facts: ModelFacts) -> ChatFormat:
    """The chat format of a section that stacks.validate passed. A model that does not generate has none."""
    if model.task != "generate":
        return ChatFormat()
    reasoning, features = model.reasoning, engine_of(model.engine).features
    tools = None if model.tool_calls is None else model.tool_calls.parser
    thoughts = None if reasoning is None else reasoning.parser
    return chat_format(
        facts.architecture.family,
        facts.parsers,
        tools=tools if "tool_calls" in features else NONE,
        reasoning=thoughts if "reasoning" in features else NONE,
        thinking=None if reasoning is None else reasoning.default,
        template_arguments={} if model.chat_template_kwargs is None else model.chat_template_kwargs.values,
    )

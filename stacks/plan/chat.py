"""How the engines of a model read tools and thoughts, from its section and its row."""

from __future__ import annotations

from sizing.models.chat import ChatFormat, chat_format
from sizing.models.models import Model as ModelFacts
from stacks.config import Model


def chat_format_of(model: Model, facts: ModelFacts) -> ChatFormat:
    """The chat format of a section that stacks.validate passed. A model that does not generate has none."""
    if model.task != "generate":
        return ChatFormat()
    reasoning = model.reasoning
    return chat_format(
        facts.architecture.family,
        facts.parsers,
        tools=None if model.tool_calls is None else model.tool_calls.parser,
        reasoning=None if reasoning is None else reasoning.parser,
        thinking=None if reasoning is None else reasoning.default,
        template_arguments={} if model.chat_template_kwargs is None else model.chat_template_kwargs.values,
    )

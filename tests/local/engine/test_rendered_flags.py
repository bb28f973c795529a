"""The flags that the product renders, as the emulator reads them: with vLLM's names and choices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.engine.flags import parse
from local.engine.pooling_settings import pooling_settings
from serving.engines import vllm
from sizing.models.chat import NONE, PARSERS, Thinking, chat_format
from sizing.models.models import MODELS, Model
from sizing.models.task import Task
from tests.serving.contracts import small_replica

GENERATING = {name: row for name, row in MODELS.items() if "generate" in row.tasks}


def switches(row: Model) -> tuple[Thinking | None, ...]:
    """What a stack file may say about the thoughts of a model."""
    known = row.parsers is not None and row.parsers.reasoning in PARSERS.thinking
    return (None, "on", "off") if known else (None,)


@pytest.mark.parametrize(
    ("name", "thinking"), [(name, each) for name, row in GENERATING.items() for each in switches(row)]
)
def test_every_chat_format_is_taken(name: str, thinking: Thinking | None):
    row = GENERATING[name]
    for tools in (None, NONE, *PARSERS.tool_parsers):
        chat = chat_format(row.architecture.family, row.parsers, tools, None, thinking, {"a": [1, "ö"]})
        found = parse(vllm.arguments(replace(small_replica(), chat=chat)))
        assert found.tool_call_parser == chat.tools


@pytest.mark.parametrize(
    ("task", "name", "convert"),
    [("embed", "Qwen/Qwen3-Embedding-0.6B", "embed"), ("rerank", "Qwen/Qwen3-Reranker-0.6B", "classify")],
)
def test_a_task_without_tokens(task: Task, name: str, convert: str):
    """What vLLM would do with these flags, as the emulator understands them."""
    replica = small_replica(task=task, model=MODELS[name], itl_seconds=None)
    pooling = pooling_settings(parse(vllm.arguments(replica)), replica.model)
    assert pooling is not None
    assert pooling.task == convert

"""The flags that the product renders, as the emulator reads them: with vLLM's names and choices."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from local.engine.flags import parse
from local.engine.pooling_settings import pooling_settings
from serving.engines import vllm
from sizing.models.chat import NONE, PARSERS, Thinking, chat_format
from sizing.models.models import MODELS
from sizing.models.task import Task
from tests.serving.contracts import small_replica


@pytest.mark.parametrize("thinking", [None, *get_args(Thinking)])
@pytest.mark.parametrize("name", sorted(name for name, row in MODELS.items() if "generate" in row.tasks))
def test_every_chat_format_is_taken(name: str, thinking: Thinking | None):
    row = MODELS[name]
    if thinking and (row.parsers is None or row.parsers.reasoning not in PARSERS.thinking):
        pytest.skip("its thoughts cannot be switched")
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

"""By which parsers tools and thoughts are found, and the flags that say so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from serving.engines import vllm
from serving.images.pinned import image
from sizing.models.chat import NONE, PARSERS, ChatFormat, Thinking, chat_format
from sizing.models.models import MODELS, model
from tests.serving.contracts import small_replica


def known(name: str, thinking: Thinking | None = None, **arguments: object) -> ChatFormat:
    row = model(name)
    return chat_format(row.architecture.family, row.parsers, None, None, thinking, arguments)


def flags(chat: ChatFormat) -> list[str]:
    """The flags that this format adds."""
    without, found = (vllm.arguments(replace(small_replica(), chat=each)) for each in (ChatFormat(), chat))
    return [part for part in found if part not in without]


def test_the_names_are_of_the_release_that_is_served():
    assert image("vllm").tag == f"v{PARSERS.version}"


def test_every_row_names_parsers_of_the_engine():
    for row in MODELS.values():
        if row.parsers is not None:
            assert row.parsers.tools is None or row.parsers.tools in PARSERS.tool_parsers
            assert row.parsers.reasoning is None or row.parsers.reasoning in PARSERS.reasoning_parsers
            assert "generate" in row.tasks
            assert row.parsers.source
    assert PARSERS.thinking.keys() <= set(PARSERS.reasoning_parsers)
    assert set(PARSERS.built_in_reasoning.values()) <= set(PARSERS.reasoning_parsers)


def test_the_shipped_models_answer_tools():
    assert flags(known("Qwen/Qwen3-8B")) == [
        "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3", "--enable-auto-tool-choice"
    ]  # fmt: skip
    assert flags(known("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic")) == [
        "--tool-call-parser", "llama3_json", "--enable-auto-tool-choice"
    ]  # fmt: skip


def test_a_built_in_parser_needs_no_flag():
    found = known("openai/gpt-oss-20b")
    assert (found.reasoning, found.built_in, found.thinks) == ("openai_gptoss", True, True)
    assert flags(found) == ["--tool-call-parser", "openai", "--enable-auto-tool-choice"]
    # Also where no row says so: it is vLLM's own doing.
    assert chat_format("gpt_oss", None, None, None, None, {}).reasoning == "openai_gptoss"


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("Qwen/Qwen3-8B", "enable_thinking"),
        ("Qwen/Qwen3.5-4B", "enable_thinking"),
        ("google/gemma-4-31B-it", "enable_thinking"),
        ("zai-org/GLM-5-FP8", "enable_thinking"),
        ("deepseek-ai/DeepSeek-V3.2", "thinking"),
    ],
)
@pytest.mark.parametrize("thinking", ["on", "off"])
def test_thinking_is_switched_as_the_family_does_it(name: str, argument: str, thinking: Thinking):
    found = known(name, thinking)
    assert found.template_arguments == {argument: thinking == "on"}
    assert found.thinks is (thinking == "on")
    rendered = flags(found)
    assert json.loads(rendered[rendered.index("--default-chat-template-kwargs") + 1]) == {
        argument: thinking == "on"
    }


def test_without_a_word_a_model_does_what_it_was_trained_for():
    assert known("Qwen/Qwen3-8B").thinks is True
    assert known("google/gemma-4-31B-it").thinks is False
    assert known("deepseek-ai/DeepSeek-V3.2").thinks is False
    assert known("microsoft/phi-4").thinks is None
    assert known("Qwen/Qwen3-8B").template_arguments == {}
    assert known("Qwen/Qwen3-8B", None, enable_thinking=False).thinks is False


def test_a_model_without_a_row_gets_what_is_asked_for_and_nothing_else():
    assert chat_format("qwen3", None, None, None, None, {}) == ChatFormat()
    found = chat_format("qwen3", None, "hermes", "qwen3", "off", {"a": [1, "ö"]})
    assert found == ChatFormat("hermes", "qwen3", False, {"enable_thinking": False, "a": [1, "ö"]})


def test_none_switches_off_what_a_row_says():
    row = model("Qwen/Qwen3-8B")
    found = chat_format("qwen3", row.parsers, NONE, NONE, None, {})
    assert (found.tools, found.reasoning, flags(found)) == (None, None, [])


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        (known("Qwen/Qwen3-8B"), "tools by hermes; thoughts by qwen3, on unless a request says otherwise"),
        (known("google/gemma-4-31B-it"), "tools by gemma4; thoughts by gemma4, off unless a request asks"),
        (known("openai/gpt-oss-20b"), "tools by openai; thoughts by openai_gptoss (built in), always on"),
        (known("microsoft/phi-4"), "no tool parser: requests with tools get 400; no reasoning parser"),
        (ChatFormat("granite4", "ernie45"), "tools by granite4; thoughts by ernie45"),
    ],
)
def test_the_plan_says_what_clients_can_expect(chat: ChatFormat, words: str):
    assert chat.described() == words

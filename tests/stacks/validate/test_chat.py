"""tool_calls, reasoning and chat_template_kwargs: what is wrong is one line that says what would work."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sizing.models.chat import PARSERS, ChatFormat
from sizing.models.models import load_model
from stacks.load import parse
from stacks.plan.chat import chat_format_of
from stacks.problems import StackError
from tests.stacks.environments import local_values

GPT_OSS = "openai/gpt-oss-20b"
R1 = "deepseek-ai/DeepSeek-R1"


def values(model: str | None = None, **keys: Any) -> dict[str, Any]:
    found = local_values()
    # The shipped file switches thoughts off.
    del found["models"][0]["reasoning"]
    found["models"][0].update(keys)
    if model is not None:
        found["models"][0].update(model=model, quantization=None)
    return found


def problems(model: str | None = None, **keys: Any) -> list[str]:
    with pytest.raises(StackError) as raised:
        parse(values(model, **keys), origin="test")
    lines = [str(problem) for problem in raised.value.problems]
    assert not any("\n" in line for line in lines)
    # Another model on this pool has problems of its own.
    words = ("tool_calls", "reasoning", "chat_template_kwargs")
    return [line for line in lines if any(f"models[0].{word}" in line for word in words)]


def format_of(**keys: Any) -> ChatFormat:
    model = parse(values(**keys), origin="test").models[0]
    return chat_format_of(model, load_model(model.model))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ChatFormat("hermes", "qwen3")),
        ({"tool_calls": {"parser": "none"}}, ChatFormat(None, "qwen3")),
        ({"tool_calls": {"parser": "qwen3_json"}}, ChatFormat("qwen3_json", "qwen3")),
        ({"reasoning": {"parser": "none"}}, ChatFormat("hermes", None)),
        (
            {"reasoning": {"parser": "deepseek_r1", "default": "on"}},
            ChatFormat("hermes", "deepseek_r1"),
        ),
        (
            {"reasoning": {"default": "off"}, "chat_template_kwargs": {"style": {"a": [1, None]}}},
            ChatFormat("hermes", "qwen3", False, {"enable_thinking": False, "style": {"a": [1, None]}}),
        ),
        (
            {"reasoning": {"default": "off"}, "chat_template_kwargs": {"enable_thinking": False}},
            ChatFormat("hermes", "qwen3", False, {"enable_thinking": False}),
        ),
        ({"tool_calls": {"parser": "hf"}, "reasoning": {"parser": "hf"}}, ChatFormat("hf", "hf")),
    ],
)
def test_what_a_section_says_is_what_an_engine_gets(keys: dict[str, Any], expected: ChatFormat):
    assert format_of(**keys) == expected


@pytest.mark.parametrize(("read", "meant"), [(True, True), (False, False), ("on", True), ("off", False)])
def test_on_and_off_are_read_as_either_reader_of_yaml_gives_them(read: object, meant: bool):
    assert format_of(reasoning={"default": read}).template_arguments == {"enable_thinking": meant}


@pytest.mark.parametrize(
    ("model", "keys", "words"),
    [
        (None, {"tool_calls": {"parser": "hermez"}}, "did you mean hermes"),
        (None, {"tool_calls": {"parser": "qwen3"}}, "did you mean qwen3_"),
        (None, {"tool_calls": {"parser": "llama3"}}, "llama3_json"),
        (None, {"tool_calls": {"parser": "!!"}}, "known: apertus, "),
        (None, {"reasoning": {"parser": "qwen"}}, "did you mean qwen3"),
        (None, {"reasoning": {"parser": "hermes"}}, "is not a reasoning parser of vLLM 0.32.0"),
        (None, {"reasoning": {}}, "set parser, default or both"),
        (None, {"reasoning": {"parser": "none", "default": "off"}}, "needs a reasoning parser"),
        (None, {"reasoning": {"parser": "ernie45", "default": "off"}}, "no switch of models read by ernie45"),
        (None, {"reasoning": {"parser": "deepseek_r1", "default": "off"}}, "always think"),
        (
            None,
            {"reasoning": {"default": "on"}, "chat_template_kwargs": {"enable_thinking": False}},
            "contradicts chat_template_kwargs.enable_thinking: false",
        ),
        (None, {"reasoning": {"parser": "openai_gptoss"}}, "reads models of gpt_oss only"),
        (None, {"tool_calls": {"parser": "hf"}}, '"hf" cannot be combined with qwen3'),
        (None, {"reasoning": {"parser": "hf"}}, '"hf" cannot be combined with hermes'),
        (None, {"chat_template_kwargs": {"chat_template": "x"}}, "refused by vLLM with every request"),
        (None, {"chat_template_kwargs": {"tokenize": True}}, "refused by vLLM with every request"),
        (None, {"chat_template_kwargs": {"a": float("nan")}}, "JSON cannot express"),
        (GPT_OSS, {"reasoning": {"parser": "none"}}, "flag or no flag"),
        (GPT_OSS, {"reasoning": {"parser": "qwen3"}}, "flag or no flag"),
        (GPT_OSS, {"reasoning": {"default": "off"}}, "reasoning_effort: low"),
        (
            GPT_OSS,
            {"chat_template_kwargs": {"reasoning_effort": "low"}},
            "has no effect on openai/gpt-oss-20b",
        ),
        (R1, {"reasoning": {"default": "off"}}, "always think"),
    ],
)
def test_what_no_engine_would_do_is_refused(model: str | None, keys: dict[str, Any], words: str):
    (line,) = problems(model, **keys)
    assert words in line


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"tool_calls": {}}, "models[0].tool_calls.parser"),
        ({"tool_calls": {"parser": "hermes", "parsers": "x"}}, "models[0].tool_calls.parsers"),
        ({"tool_calls": "hermes"}, "models[0].tool_calls"),
        ({"tool_calls": {"parser": None}}, "models[0].tool_calls.parser"),
        ({"tool_calls": {"parser": 7}}, "models[0].tool_calls.parser"),
        ({"tool_calls": {"parser": ""}}, "models[0].tool_calls.parser"),
        ({"reasoning": {"default": "auto"}}, "models[0].reasoning.default"),
        ({"reasoning": {"default": 1}}, "models[0].reasoning.default"),
        ({"reasoning": {"default": []}}, "models[0].reasoning.default"),
        ({"chat_template_kwargs": ["enable_thinking"]}, "models[0].chat_template_kwargs"),
        (
            {"chat_template_kwargs": {"since": date(2026, 1, 1)}},
            "chat_template_kwargs",
        ),
        ({"tool_call_parser": "hermes"}, "models[0].tool_call_parser"),
    ],
)
def test_wrong_shapes_are_one_line_each(keys: dict[str, Any], words: str):
    with pytest.raises(StackError) as raised:
        parse(values(**keys), origin="test")
    (line,) = (str(problem) for problem in raised.value.problems)
    assert words in line


@pytest.mark.parametrize(
    "keys",
    [{"tool_calls": {"parser": "none"}}, {"reasoning": {"default": "on"}}, {"chat_template_kwargs": {}}],
)
def test_an_embedder_neither_calls_nor_thinks(keys: dict[str, Any]):
    lines = problems(task="embed", **keys)
    assert any("has no effect with task embed" in line for line in lines)


@pytest.mark.parametrize("kind", ["tool", "reasoning"])
def test_every_parser_of_the_engine_is_accepted_for_a_model_of_ones_own(tmp_path: Path, kind: str):
    names = PARSERS.tool_parsers if kind == "tool" else PARSERS.reasoning_parsers
    file = tmp_path / "config.json"
    row = json.dumps(
        {
            "model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
            "max_position_embeddings": 40960, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
        }
    )  # fmt: skip
    file.write_text(row, encoding="utf-8")
    facts = load_model(str(file))
    for name in set(names) - set(PARSERS.built_in_reasoning.values()):
        document = values()
        document["models"][0]["model"] = str(file)
        document["models"][0]["tool_calls" if kind == "tool" else "reasoning"] = {"parser": name}
        found = chat_format_of(parse(document, origin="test").models[0], facts)
        assert name == (found.tools if kind == "tool" else found.reasoning)

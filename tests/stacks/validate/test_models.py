"""Models that cannot be: refused before anything is bought, with field, value and what would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from stacks import program
from stacks.load import parse
from stacks.plan import make_plan
from tests.recording import record
from tests.stacks.environments import local_values, stack_on
from tests.stacks.validate.test_cluster import problems

H100 = {"accelerator": "nvidia-h100-80gb", "machine_types": ["p5.48xlarge"]}

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def large(pool: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    """The local environment with its large model, and the pool of that, changed."""
    values = local_values()
    values["node_pools"][1].update(pool or {})
    values["models"][1].update(model)
    return values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            large(
                {"accelerator": "nvidia-h100-80gb", "machine_types": ["p5.4xlarge"]},
                model="openai/gpt-oss-120b", tensor_parallel=1, max_model_len=131072,
            ),
            ["models[1].max_model_len: 131072 does not fit on 1 x nvidia-h100-80gb", "the largest context",
             "cheapest that would: g7e.2xlarge"],
        ),
        (
            large(H100, model="deepseek-ai/DeepSeek-V3", tensor_parallel=8),
            ["models[1].tensor_parallel: 8 is not enough on 8 x nvidia-h100-80gb", "GiB of weights",
             "cheapest that would: "],
        ),
        (
            large(H100, tensor_parallel=3),
            ["models[1].tensor_parallel: 3 does not divide the 64 attention heads", "Valid: 1, 2, 4, 8"],
        ),
        (
            large({"accelerator": "nvidia-t4", "machine_types": ["g4dn.12xlarge"]},
                  model="Qwen/Qwen3-8B", tensor_parallel=4, max_model_len=16384),
            ['models[1].node_pool: "rtx-pro-6000" cannot run Qwen/Qwen3-8B on 4 x nvidia-t4', "bfloat16",
             "cheapest that would: g6"],
        ),
        (
            large({"accelerator": "nvidia-l4", "machine_types": ["g6.2xlarge"]}, model="Qwen/Qwen3.5-4B",
                  tensor_parallel=1, max_model_len=32768, max_num_seqs=1024),
            ["models[1].max_num_seqs: 1024 cannot be started on 1 x nvidia-l4", "Set at most 5"],
        ),
        (
            large({"accelerator": "nvidia-b200", "machine_types": ["p6-b200.48xlarge"]},
                  model="moonshotai/Kimi-K2-Instruct", tensor_parallel=8),
            ['models[1].model: "moonshotai/Kimi-K2-Instruct" cannot be started: its tokenizer is code',
             "Without it start: deepseek-ai/DeepSeek-V3.2, zai-org/GLM-5-FP8"],
        ),
        (
            large(max_model_len=200_000),
            ["models[1].max_model_len: 200000 is more than", "at most 131072"],
        ),
        (
            large(max_model_len=131072, tensor_parallel=1),
            ["models[1].max_model_len: 131072 does not fit", "cheapest that would: g7e.12xlarge"],
        ),
        (
            large(replicas={"min": 1, "max": 9}),
            ["node_pools[1].max_nodes: 3 machines cannot hold all replicas", "Raise max_nodes to 9"],
        ),
        (
            large(model="meta-llama/Llama-3.1-405B-Instruct", tensor_parallel=2),
            ["models[1].tensor_parallel: 2 is not enough on 2 x nvidia-rtx-pro-6000-96gb"],
        ),
    ],
)  # fmt: skip
def test_an_impossible_model_is_one_line(values: dict[str, Any], expected: list[str]):
    (line,) = problems(values)
    for part in expected:
        assert part in line


def test_a_config_json_is_planned_like_a_row(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_8B), encoding="utf-8")
    from_config = make_plan(parse(large(model=str(path), tensor_parallel=1), origin="test"))
    from_row = make_plan(
        parse(large(model="meta-llama/Llama-3.1-8B-Instruct", tensor_parallel=1), origin="test")
    )
    one, other = from_config.models[1], from_row.models[1]
    assert one.model == str(path)
    assert one.fit.kv_tokens == pytest.approx(other.fit.kv_tokens, rel=0.02)
    assert one.usd_per_hour == other.usd_per_hour


def test_quantizing_to_what_the_checkpoint_is_already_is_refused():
    values = large(H100, quantization="fp8")
    (line,) = problems(values)
    assert line.startswith('models[1].quantization: "fp8" is what the checkpoint of RedHatAI/')


def test_a_config_json_cannot_be_served_and_says_what_to_do(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_8B), encoding="utf-8")
    stack = stack_on(tmp_path / "kubeconfig", large(model=str(path), tensor_parallel=1))
    with pytest.raises(pulumi.RunError, match=r"models\[1\]\.model: .* add a row to sizing/models/data"):
        record(lambda: program.build(stack) and None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "cannot be planned"),
        ("[]", "cannot be planned"),
        ('{"model_type": "unheard-of", "architectures": ["UnheardOf"]}', "cannot be planned"),
    ],
)
def test_a_config_json_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, expected: str):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    (line,) = problems(large(model=str(path), tensor_parallel=1))
    assert line.startswith("models[1].model: ")
    assert expected in line


def test_a_config_json_that_is_not_there():
    (line,) = problems(large(model="models/nope/config.json"))
    assert line == (
        'models[1].model: "models/nope/config.json" cannot be planned: models/nope/config.json: there is no '
        "such file"
    )


def test_adapters_that_leave_no_room_are_the_problem_and_fewer_are_not():
    def found(count: int) -> list[str]:
        values = local_values()
        values["models"][0]["adapters"] = [
            {"name": f"adapter-{index}", "source": "example/adapter", "revision": "a" * 40, "rank": 200}
            for index in range(count)
        ]
        return problems(values)

    assert found(1) == []
    (problem,) = found(12)
    assert problem.startswith("models[0].adapters: 12 do not fit on 1 x nvidia-l4")
    assert "kept for 12 adapters of rank 256 it would fit, with room for " in problem
    assert "cheapest that would: " in problem

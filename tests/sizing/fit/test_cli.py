"""`python -m sizing.fit` from the outside: what it prints, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sizing.fit.__main__ import main
from sizing.fit.result import JSON_KEYS
from tests.sizing.fit.requests import CONFIGS

ROOT = Path(__file__).parents[3]
LLAMA = ["meta-llama/Llama-3.1-8B-Instruct", "--accelerator", "nvidia-h100-80gb"]
OPTION_OF_A_LOG = [
    "--usable-gib", "79.19", "--weights-gib", "14.99", "--activation-gib", "1.89", "--non-torch-gib", "0.25",
]  # fmt: skip


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_json_has_exactly_the_promised_keys(capsys: pytest.CaptureFixture[str]):
    found = answer(capsys, *LLAMA)
    assert tuple(found) == JSON_KEYS
    assert found["fits"] is True
    assert found["reason"] == ""
    assert found["kv_bytes_per_token"] == 131_072


def test_figures_of_a_log_replace_constants(capsys: pytest.CaptureFixture[str]):
    found = answer(
        capsys, *LLAMA, "--gpu-memory-utilization", "0.95", "--max-model-len", "8192", *OPTION_OF_A_LOG
    )
    assert found["kv_pool_gib"] == pytest.approx(58.11, rel=0.001)
    assert found["kv_tokens"] == pytest.approx(476_016, rel=0.001)
    assert found["max_concurrency"] == pytest.approx(58.11, rel=0.001)
    assert found["uncertainty_pct"] == 0


def test_a_given_activation_includes_the_graphs_unless_they_are_given_too(capsys: pytest.CaptureFixture[str]):
    given = ["--weights-gib", "9.01", "--non-torch-gib", "0", "--activation-gib", "2.17"]
    model = ["Qwen/Qwen3.5-4B", "--accelerator", "nvidia-l4", "--engine-version", "0.29"]
    assert answer(capsys, *model, *given)["kv_pool_gib"] == pytest.approx(9.09, abs=0.01)
    both = answer(capsys, *model, *given, "--cuda-graph-gib", "0.5")
    assert both["kv_pool_gib"] == pytest.approx(8.59, abs=0.01)


def test_a_given_pool_is_taken_as_it_is(capsys: pytest.CaptureFixture[str]):
    found = answer(
        capsys, "Qwen/Qwen3-14B", "--accelerator", "nvidia-l40s", "--kv-pool-gib", "11.57",
        "--engine-version", "0.28", "--max-model-len", "40960",
    )  # fmt: skip
    assert found["kv_pool_gib"] == 11.57
    assert found["kv_tokens"] == 75_824
    assert found["max_concurrency"] == pytest.approx(1.85, abs=0.005)


def test_a_config_json_gives_what_its_row_gives(capsys: pytest.CaptureFixture[str]):
    options = ["--accelerator", "nvidia-h100-80gb", "--max-model-len", "32768"]
    from_file = answer(capsys, str(CONFIGS / "gpt-oss-120b.json"), *options)
    assert from_file == answer(capsys, "openai/gpt-oss-120b", *options)


def test_exit_status(capsys: pytest.CaptureFixture[str]):
    assert main(LLAMA) == 0
    assert main(["Qwen/Qwen3-32B", "--accelerator", "nvidia-l4"]) == 2
    assert main(["Qwen/Qwen3-33B", "--accelerator", "nvidia-l4"]) == 1
    assert "did you mean Qwen/Qwen3-32B?" in capsys.readouterr().err


def test_no_is_an_answer_in_json_too(capsys: pytest.CaptureFixture[str]):
    found = answer(capsys, "openai/gpt-oss-120b", "--accelerator", "nvidia-h100-80gb")
    assert found["fits"] is False
    assert "the largest context that fits is" in str(found["reason"])
    assert "cheapest that would: " in str(found["reason"])


def test_the_sum_is_explained(capsys: pytest.CaptureFixture[str]):
    assert main([*LLAMA, "--explain"]) == 0
    printed = capsys.readouterr().out
    for term in (
        "usable memory",
        "requested",
        "weights",
        "outside torch",
        "peak activation",
        "KV pool",
        "block",
    ):
        assert term in printed


def test_the_service_level_bounds_requests_at_once(capsys: pytest.CaptureFixture[str]):
    typical = ["--prompt-tokens", "1200", "--output-tokens", "200"]
    free = answer(capsys, *LLAMA, *typical)["max_num_seqs"]
    bound = answer(capsys, *LLAMA, *typical, "--itl-seconds", "0.02")["max_num_seqs"]
    assert isinstance(free, int)
    assert isinstance(bound, int)
    assert 1 <= bound < free


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no/such.json", "--accelerator", "nvidia-l4"], "no/such.json: there is no such file"),
        (["./nowhere", "--accelerator", "nvidia-l4"], "neither a .json file nor a folder with a config.json"),
        (["Qwen/Qwen9", "--accelerator", "nvidia-l4"], "For any other, give the path of its config.json"),
        ([*LLAMA[:2], "nvidia-l5"], "unknown accelerator 'nvidia-l5': did you mean nvidia-l4"),
        ([*LLAMA, "--engine-version", "newest"], "engine version 'newest' is none"),
        ([*LLAMA, "--quantization", "gguf"], 'quantization "gguf" needs a checkpoint'),
        ([*LLAMA, "--kv-cache-dtype", "fp9"], 'kv_cache_dtype "fp9" is unknown'),
        ([*LLAMA, "--machine", "g6.2xlagre"], "did you mean g6.2xlarge?"),
        ([*LLAMA, "--prompt-tokens", "5"], "go together"),
        ([str(CONFIGS / "nemotron-h.json"), *LLAMA[1:]], 'model type "nemotron_h" is not supported'),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [], LLAMA[:1], [*LLAMA, "--tensor-parallel", "0"], [*LLAMA, "--tensor-parallel", "two"],
        [*LLAMA, "--gpu-memory-utilization", "1.5"], [*LLAMA, "--gpu-memory-utilization", "nan"],
        [*LLAMA, "--weights-gib", "-1"], [*LLAMA, "--weights-gib", "inf"], [*LLAMA, "--engine", "ollama"],
        [*LLAMA, "--tensor", "2"],
    ],
)  # fmt: skip
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m sizing.fit" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "triton"])
def test_every_engine_answers(engine: str, capsys: pytest.CaptureFixture[str]):
    found = answer(capsys, *LLAMA, "--engine", engine, "--max-model-len", "8192")
    assert found["fits"] is True
    main([*LLAMA, "--engine", engine, "--max-model-len", "8192"])
    estimated = f"memory of {engine} is estimated" in capsys.readouterr().out
    assert estimated == (engine in ("sglang", "tgi"))


def test_it_runs_without_the_packages_of_the_program():
    """Only pydantic, PyYAML and rich: the rest would have to be installed before an answer."""
    blocked = (
        "import sys\nfor name in ('pulumi', 'numpy', 'matplotlib', 'kubernetes'): sys.modules[name] = None\n"
    )
    run = f"from sizing.fit.__main__ import main\nsys.exit(main({[*LLAMA, '--json']!r}))"
    done = subprocess.run(
        [sys.executable, "-c", blocked + run],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fits"] is True


def test_adapters_take_room_with_the_engines_defaults_for_what_is_not_said(
    capsys: pytest.CaptureFixture[str],
):
    def kept(*options: str) -> object:
        return answer(capsys, *LLAMA, *options)["adapters_gib"]

    assert kept() == 0
    assert kept("--max-loras", "4", "--max-lora-rank", "64") == pytest.approx(1.376, abs=0.001)
    assert kept("--max-loras", "4") == kept("--max-loras", "4", "--max-lora-rank", "16")
    assert kept("--max-lora-rank", "64") == kept("--max-loras", "1", "--max-lora-rank", "64")


def test_the_sum_names_adapters_where_there_are_some(capsys: pytest.CaptureFixture[str]):
    main([*LLAMA, "--max-loras", "4", "--explain"])
    assert "4 adapters of rank 16" in capsys.readouterr().out
    main([*LLAMA, "--explain"])
    assert "adapters" not in capsys.readouterr().out

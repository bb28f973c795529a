from __future__ import annotations

import pytest

from local.engine.comparison.rendered import CommandLine, rendered_command_lines
from local.engine.flags import parse
from local.engine.machine import machine_from
from local.engine.refusal import Refused
from local.engine.server_settings import server_settings
from local.engine.settings import Engine, engine_settings
from sizing.models.models import model

L4 = {"EMULATOR_ACCELERATOR": "nvidia-l4", "EMULATOR_GPUS": "1"}
H100 = {"EMULATOR_ACCELERATOR": "nvidia-h100-80gb", "EMULATOR_GPUS": "2"}
QWEN = ["Qwen/Qwen3-8B", "--max-model-len", "8192"]


def engine(arguments: list[str], environment: dict[str, str]) -> Engine:
    return engine_settings(parse(arguments), machine_from(environment))


@pytest.mark.parametrize(
    "command", rendered_command_lines(), ids=lambda command: f"{command.stack}-{command.model}"
)
def test_every_model_of_this_repositorys_stacks_starts(command: CommandLine):
    environment = {"EMULATOR_ACCELERATOR": command.accelerator, "EMULATOR_GPUS": str(command.gpus)}
    started = engine(command.arguments, environment)
    assert started.blocks * started.block_size >= started.max_model_len


def test_defaults_depend_on_the_gpu():
    small, large = engine(QWEN, L4), engine(QWEN, H100)
    assert (small.step_tokens, small.max_running) == (2048, 256)
    assert (large.step_tokens, large.max_running) == (8192, 1024)
    assert large.blocks > 10 * small.blocks


def test_the_generation_configuration_bounds_replies():
    assert engine(QWEN, L4).max_reply is None
    bounded = engine([*QWEN, "--override-generation-config", '{"max_new_tokens": 512}'], L4)
    assert bounded.max_reply == 512
    assert engine([*QWEN, "--override-generation-config", '{"temperature": 0}'], L4).max_reply is None


def test_eight_bit_cache_holds_twice_as_much():
    half = engine([*QWEN, "--kv-cache-dtype", "fp8"], H100)
    assert half.blocks == pytest.approx(2 * engine(QWEN, H100).blocks, rel=0.001)


def test_an_automatic_length_fits_the_memory():
    started = engine(["Qwen/Qwen3-8B", "--max-model-len", "auto"], L4)
    assert started.max_model_len == started.blocks * started.block_size < 40960


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], L4, "no model given"),
        (["Qwen/Qwen3-8X"], L4, "unknown model 'Qwen/Qwen3-8X': did you mean Qwen/Qwen3-8B"),
        (
            [*QWEN, "-tp", "3"],
            H100,
            r"attention heads \(32\) must be divisible by tensor parallel size \(3\)",
        ),
        ([*QWEN, "-tp", "4"], H100, r"World size \(4\) is larger than the number of available GPUs \(2\)"),
        (["Qwen/Qwen3-8B", "--max-model-len", "50000"], H100, r"max_model_len \(50000\) is greater than"),
        (["Qwen/Qwen3-8B"], L4, r"\(40960\).* the estimated maximum model length is \d+"),
        (["Qwen/Qwen3-32B", "--max-model-len", "1k"], L4, "No available memory for the cache blocks"),
        ([*QWEN, "--quantization", "awq"], L4, "Cannot find the config file for awq"),
        ([*QWEN, "--gpu-memory-utilization", "1.2"], L4, "gpu_memory_utilization must be"),
        ([*QWEN, "--max-num-seqs", "0"], L4, "max_num_seqs must be at least 1, got 0"),
        ([*QWEN, "--max-num-batched-tokens", "8", "--max-num-seqs", "9"], L4, r"\(8\) must be .* \(9\)"),
        ([*QWEN, "-pp", "2"], H100, "--pipeline-parallel-size must be 1"),
        (QWEN, {"EMULATOR_ACCELERATOR": "nvidia-l5"}, "EMULATOR_ACCELERATOR: .* did you mean nvidia-l4"),
        (QWEN, {"EMULATOR_GPUS": "one"}, "EMULATOR_GPUS='one': expected a number"),
        (QWEN, {"EMULATOR_GPUS": "1.5"}, "EMULATOR_GPUS='1.5': expected a whole number"),
        (QWEN, {"EMULATOR_COLD_START_SCALE": "-1"}, "EMULATOR_COLD_START_SCALE"),
        (QWEN, {"EMULATOR_LISTEN": "8000"}, "EMULATOR_LISTEN='8000': expected HOST:PORT"),
    ],
)
def test_what_cannot_start_is_refused(arguments: list[str], environment: dict[str, str], message: str):
    with pytest.raises(Refused, match=message):
        engine(arguments, environment)


@pytest.mark.parametrize(
    "value", ['{"nonsense": [1]}', "[1]", '{"iteration_tokens": [2, 1]}', '{"iteration_tokens": []}']
)
def test_wrong_buckets_are_refused(value: str):
    flags = parse([*QWEN, "--custom-histogram-buckets", value])
    with pytest.raises(Refused, match="custom_histogram_buckets"):
        server_settings(flags, machine_from(L4), model(QWEN[0]))


def test_the_environment_decides_where_to_listen():
    flags = parse([*QWEN, "--host", "0.0.0.0", "--port", "8000"])
    machine = machine_from({"EMULATOR_LISTEN": "127.0.0.1:4321"})
    server = server_settings(flags, machine, model(QWEN[0]))
    assert (server.host, server.port) == ("127.0.0.1", 4321)
    assert server.served_names == ("Qwen/Qwen3-8B",)


def test_more_sequences_than_a_recurrent_model_has_blocks_for():
    """564 blocks in the 9.1 GiB of a public log: counted by hand in tests/sizing/fit/test_refusals.py."""
    qwen = ["Qwen/Qwen3.5-4B", "--max-model-len", "32768", "--kv-cache-memory-bytes", str(int(9.1 * 2**30))]
    assert engine([*qwen, "--max-num-seqs", "564"], L4).max_running == 564
    with pytest.raises(Refused, match=r"max_num_seqs \(565\) exceeds available Mamba cache blocks \(564\)"):
        engine([*qwen, "--max-num-seqs", "565"], L4)
    assert engine([*qwen, "--max-num-seqs", "565", "--enforce-eager"], L4).max_running == 565

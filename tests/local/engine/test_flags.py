from __future__ import annotations

import pytest

from local.engine.flags import flag_table, parse, size, size_or_auto


@pytest.mark.parametrize(
    ("text", "value"), [("16384", 16384), ("16k", 16_000), ("16K", 16_384), ("1.5k", 1500), ("2M", 2 * 2**20)]
)
def test_sizes(text: str, value: int):
    assert size(text) == value


def test_automatic_length():
    assert size_or_auto("auto") == size_or_auto("-1") == -1
    assert size_or_auto("8k") == 8000


def test_values_have_their_types():
    flags = parse(
        ["m", "--max-model-len", "16k", "-tp", "2", "--gpu-memory-utilization=0.9", "--enforce-eager"]
    )
    assert flags.model_tag == "m"
    assert flags.max_model_len == 16_000
    assert flags.tensor_parallel_size == 2
    assert flags.gpu_memory_utilization == 0.9
    assert flags.enforce_eager is True
    assert flags.max_num_seqs is None


def test_switches_can_be_turned_off():
    assert parse(["m", "--no-enable-prefix-caching"]).enable_prefix_caching is False


def test_underscores_and_short_optimisation_levels():
    flags = parse(["m", "--max_num_seqs", "4", "-O2"])
    assert flags.max_num_seqs == 4
    assert flags.optimization_level == "2"


def test_several_names_and_json():
    flags = parse(
        ["m", "--served-model-name", "a", "b", "--custom-histogram-buckets", '{"iteration_tokens": [1]}']
    )
    assert flags.served_model_name == ["a", "b"]
    assert flags.custom_histogram_buckets == {"iteration_tokens": [1]}


def test_a_json_flag_can_be_given_key_by_key():
    flags = parse(["m", "-cc.level", "3", "--kv-transfer-config.kv_role=both", "-cc.pass.fuse", "true"])
    assert flags.compilation_config == {"level": 3, "pass": {"fuse": True}}
    assert flags.kv_transfer_config == {"kv_role": "both"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--tensor-parallel-size", "two"], "argument --tensor-parallel-size/-tp: invalid int value: 'two'"),
        (["--kv-cache-dtype", "fp99"], "argument --kv-cache-dtype: invalid choice: 'fp99' (choose from"),
        (["--max-model-len", "1.5K"], "Did you mean to use 1.5k instead?"),
        (["--max-num-seqs"], "argument --max-num-seqs: expected one argument"),
    ],
)
def test_what_vllm_refuses_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parse(["m", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_table_is_vllms():
    table = flag_table()
    assert len(table) > 300
    options = [option for flag in table for option in flag.options]
    assert len(options) == len(set(options))

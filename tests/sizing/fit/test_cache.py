"""Groups, blocks and what requests take of them, as vLLM lays them out."""

from __future__ import annotations

import pytest

from sizing.fit import FitRequest
from sizing.fit.concurrency import Pool, pool_of
from sizing.fit.memory import memory_by_stage, setting
from sizing.models.weights import GIB
from tests.sizing.fit.requests import ask


def pool(request: FitRequest) -> Pool:
    chosen = setting(request)
    return pool_of(chosen, memory_by_stage(chosen)[0])


def test_one_kind_of_layer_is_one_group():
    found = pool(ask("meta-llama/Llama-3.1-8B-Instruct")).layout
    assert [(group.count, group.block_tokens) for group in found.groups] == [(1, 16)]
    assert found.block_bytes == 16 * 131_072
    assert found.blocks(8192) == 512
    assert found.blocks(8193) == 513


def test_gemma_3_has_seven_groups_of_ten():
    """vLLM's log: `Add 8 padding layers, may waste 15.38 %`: 10 full layers, 52 with a window in 6 groups."""
    found = pool(ask("gemma-3-27b")).layout
    assert sorted(group.count for group in found.groups) == [1, 6]
    assert found.group_count == 7
    assert found.block_bytes == 10 * 16 * 2 * 16 * 128 * 2


def test_gpt_oss_has_two_groups_from_the_file_and_from_the_table():
    from_file, from_table = (
        pool(ask(name, engine_version="0.11", max_num_batched_tokens=1024)).layout
        for name in ("gpt-oss-120b", "openai/gpt-oss-120b")
    )
    assert from_file == from_table
    assert from_file.group_count == 2
    # 131,072 tokens of the full layers, 127 + 1024 and a block of the others.
    assert from_file.blocks(131_072) == 8192 + 72 + 1


def test_a_window_holds_the_tokens_of_two_steps_since_0_26():
    one, two = (
        pool(ask("gpt-oss-120b", engine_version=version, max_num_batched_tokens=1024)).layout
        for version in ("0.25", "0.26")
    )
    assert two.blocks(131_072) - one.blocks(131_072) == 64


def test_a_short_request_takes_no_whole_window():
    found = pool(ask("gemma-3-27b", engine_version="0.19")).layout
    assert found.blocks(160) == 10 + 6 * 11


def test_where_every_layer_has_a_window_there_is_one_group():
    found = pool(ask("mistral-7b-v0.1", engine_version="0.19", max_num_batched_tokens=2048)).layout
    assert found.group_count == 1
    assert found.blocks(32_768) == 384 + 1  # 4095 + 2048 tokens


def test_releases_before_groups_keep_everything_of_every_layer():
    old = pool(ask("gemma-3-27b", engine_version="0.8")).layout
    assert old.group_count == 1
    assert old.block_bytes == 62 * 16 * 2 * 16 * 128 * 2


def test_smaller_pages_take_more_tokens():
    """Gemma-4: 4 heads of 512 on full layers, 16 of 256 on the others: half the bytes per token."""
    groups = pool(ask("gemma-4-31b-nvfp4")).layout.groups
    assert {group.block_tokens for group in groups} == {16, 32}


def test_llama_4_attends_within_chunks():
    found = pool(
        ask("llama-4-scout", "nvidia-b300", engine_version="0.19", max_num_batched_tokens=8192)
    ).layout
    assert found.group_count == 4
    assert found.blocks(1_000_000) == 62_500 + 3 * 1024


def test_states_force_larger_blocks():
    """Qwen3.5-27B: 3,207,168 bytes of state per layer are 784 tokens of 4096 bytes (vllm issue 40691)."""
    found = pool(ask("Qwen/Qwen3.5-27B", "nvidia-h200-141gb", engine_version="0.19")).layout
    assert {group.block_tokens for group in found.groups} == {784}
    assert found.blocks(32_768) == 42 + 3


def test_states_are_kept_twice_with_prefix_caching():
    request = ask("Qwen/Qwen3.5-4B", "nvidia-l4", engine_version="0.29")
    assert pool(request).layout.blocks(32_768) == 63 + 3 * 2


@pytest.mark.parametrize(
    ("dtype", "per_token"), [("auto", 61 * (576 * 2 + 132)), ("fp8_ds_mla", 61 * (656 + 132))]
)
def test_sparse_attention_keeps_an_index_beside_the_latent_vector(dtype: str, per_token: int):
    request = ask("deepseek-ai/DeepSeek-V3.2", "nvidia-h200-141gb", tensor_parallel=8, kv_cache_dtype=dtype)
    assert pool(request).layout.block_bytes == 16 * per_token


def test_v0_padded_the_latent_vector():
    request = ask("deepseek-ai/DeepSeek-R1", "nvidia-h200-141gb", tensor_parallel=8, engine_version="0.7")
    assert pool(request).layout.block_bytes == 16 * 61 * 640 * 2


def test_stages_hold_their_own_layers():
    request = ask("meta-llama/Llama-3.1-8B-Instruct", pipeline_parallel=4)
    assert pool(request).layout.block_bytes == 16 * 131_072 // 4


def test_needed_memory_is_whole_blocks():
    found = pool(ask("meta-llama/Llama-3.1-8B-Instruct"))
    assert found.needed_gib(8192) == 1.0
    assert found.needed_gib(1) == 16 * 131_072 / GIB


@pytest.mark.parametrize(("version", "groups"), [("0.9.0", 1), ("0.9.1", 7), ("0.10.2", 7), ("0.32.0", 7)])
def test_groups_came_with_0_9_1(version: str, groups: int):
    assert pool(ask("gemma-3-27b", engine_version=version)).layout.group_count == groups

"""What cannot run is refused, with the reason and with what would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing.fit import FitRequest, Measured, fit
from sizing.fit.__main__ import with_alternative
from sizing.fit.datatypes import DatatypeError
from sizing.hardware.machines import machine
from tests.sizing.fit.requests import ask

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def refusal(request: FitRequest) -> str:
    found = fit(request)
    assert not found.fits
    return found.reason


def test_gpt_oss_120b_at_full_context_on_one_h100():
    request = ask("openai/gpt-oss-120b", max_model_len=131_072, max_num_batched_tokens=8192)
    assert "one request of 131072 tokens needs 5.07 GiB" in refusal(request)


def test_gpt_oss_120b_with_the_pool_of_the_public_log():
    request = ask(
        "openai/gpt-oss-120b",
        engine_version="0.11",
        max_model_len=131_072,
        max_num_batched_tokens=1024,
        measured=Measured(kv_pool_gib=1.71),
    )
    assert "needs 4.54 GiB" in refusal(request)
    assert fit(request).max_context == pytest.approx(49_000, rel=0.02)


def test_the_same_log_blind():
    request = ask(
        "openai/gpt-oss-120b",
        engine_version="0.11",
        max_model_len=131_072,
        max_num_batched_tokens=1024,
        gpu_memory_utilization=0.95,
    )
    assert not fit(request).fits


def test_deepseek_v3_on_eight_h100():
    request = ask("deepseek-ai/DeepSeek-V3", tensor_parallel=8)
    assert "GiB of weights" in refusal(request)
    assert fit(request).weights_gib == pytest.approx(641 / 8, rel=0.02)
    assert "p5en.48xlarge" in with_alternative(request, fit(request)).reason


def test_three_gpus_do_not_divide_the_heads():
    reason = refusal(ask(LLAMA, tensor_parallel=3))
    assert "tensor_parallel 3 does not divide the 32 attention heads" in reason
    assert "Valid: 1, 2, 4, 8" in reason


def test_a_degree_that_does_not_divide_the_vocabulary():
    assert "151936 vocabulary entries" in refusal(ask("Qwen/Qwen3-14B", tensor_parallel=5))


def test_more_gpus_than_any_machine_has():
    assert "more than the 8 nvidia-h100-80gb" in refusal(ask(LLAMA, tensor_parallel=16))


def test_an_8_bit_cache_on_a100():
    reason = refusal(ask(LLAMA, "nvidia-a100-80gb", kv_cache_dtype="fp8"))
    assert "an fp8 KV cache needs compute capability 8.9" in reason


def test_bfloat16_on_t4():
    reason = refusal(ask("Qwen/Qwen3-0.6B", "nvidia-t4"))
    assert "bfloat16 needs compute capability 8.0" in reason
    assert fit(ask("llama-2-7b", "nvidia-t4", quantization="bitsandbytes", max_model_len=2048)).fits


def test_a_cache_in_4_bit_floats_before_blackwell():
    assert "compute capability 10.0" in refusal(ask(LLAMA, kv_cache_dtype="nvfp4"))


def test_a_context_above_the_models_own():
    reason = refusal(ask("Qwen/Qwen3-8B", max_model_len=50_000))
    assert reason == "max_model_len 50000 is more than Qwen/Qwen3-8B can read: at most 40960 tokens"


@pytest.mark.parametrize("utilization", [0.0, -1.0, 1.01])
def test_a_share_of_memory_that_is_none(utilization: float):
    assert "gpu_memory_utilization" in refusal(ask(LLAMA, gpu_memory_utilization=utilization))


def test_a_pod_larger_than_what_the_node_leaves():
    request = replace(
        ask("Qwen/Qwen3-8B", "nvidia-l4", quantization="fp8", max_model_len=8192),
        machine=machine("g6.2xlarge"),
    )
    assert fit(replace(request, pod_memory_gib=20)).fits
    reason = refusal(replace(request, pod_memory_gib=48))
    assert "a pod of 48 GiB of memory does not fit g6.2xlarge, which leaves 28" in reason


def test_small_gpus_hold_only_so_much():
    plain = fit(ask(LLAMA, "nvidia-l4", max_model_len=16_384))
    assert plain.kv_tokens == pytest.approx(22_000, rel=0.1)
    eight_bit = fit(ask(LLAMA, "nvidia-l4", quantization="fp8", max_model_len=16_384))
    assert eight_bit.kv_tokens == pytest.approx(75_000, rel=0.05)


def test_a_method_that_the_checkpoint_does_not_hold():
    with pytest.raises(DatatypeError, match=r'"awq" needs a checkpoint that holds it'):
        fit(ask(LLAMA, quantization="awq"))
    with pytest.raises(DatatypeError, match="leave quantization out"):
        fit(ask("llama-3.1-70b-awq-int4", quantization="fp8"))


def test_an_unknown_cache_type_proposes_the_right_one():
    with pytest.raises(DatatypeError, match="did you mean fp8_e4m3"):
        fit(ask(LLAMA, kv_cache_dtype="fp8_e4m4"))


@pytest.mark.parametrize("version", ["latest", "", "0.0.1"])
def test_a_version_that_is_none_or_too_old(version: str):
    with pytest.raises(ValueError, match=r"version|older"):
        fit(ask(LLAMA, engine_version=version))


def test_more_stages_than_layers():
    assert "pipeline_parallel 64" in refusal(ask(LLAMA, pipeline_parallel=64))


def test_the_alternative_is_the_cheapest_and_fits():
    request = ask("Qwen/Qwen3-32B", "nvidia-l4", quantization="fp8", max_model_len=8192)
    reason = with_alternative(request, fit(request)).reason
    assert "cheapest that would: g6e.xlarge (1 x nvidia-l40s" in reason


def test_an_answer_that_is_yes_is_left_alone():
    request = ask(LLAMA)
    assert with_alternative(request, fit(request)) == fit(request)


def test_a_recurrent_model_takes_no_more_sequences_than_the_pool_has_blocks():
    """Qwen3.5-4B in 9.1 GiB. A state is 32 x 128 x 128 values in 32 bits and 3 x 8192 in 16: 2,146,304 bytes.
    A token of attention is 2 x 4 x 256 values, 4096 bytes, so blocks have 528 tokens, the next multiple of 16
    from 524. 8 layers of attention make a group, 24 recurrent ones three: a block is 8 x 528 x 4096 bytes,
    and 9.1 GiB have 564 of them."""
    assert int(9.1 * 1024**3 / (8 * 528 * 4096)) == 564
    request = ask("Qwen/Qwen3.5-4B", "nvidia-l4", max_model_len=32_768, measured=Measured(kv_pool_gib=9.1))
    assert fit(request).most_sequences == 564
    assert fit(replace(request, max_num_seqs=564)).fits
    reason = refusal(replace(request, max_num_seqs=565))
    assert reason.startswith("max_num_seqs 565 is more than the 564 blocks of the KV pool")
    assert fit(replace(request, max_num_seqs=565, enforce_eager=True)).fits
    assert fit(replace(request, max_num_seqs=565, engine_version="0.18")).fits
    assert fit(ask(LLAMA, max_num_seqs=2**20)).most_sequences is None


@pytest.mark.parametrize("gpu", ["nvidia-l4", "nvidia-h100-80gb", "nvidia-b200"])
def test_sequences_that_are_derived_stay_below_the_blocks(gpu: str):
    found = fit(ask("Qwen/Qwen3.5-4B", gpu, max_model_len=2048))
    assert found.most_sequences is not None
    assert 0 < found.max_num_seqs < found.most_sequences


def test_a_model_that_needs_code_of_its_repository():
    request = ask("moonshotai/Kimi-K2-Instruct", "nvidia-b200", tensor_parallel=8, max_model_len=8192)
    assert "its tokenizer is code of its repository" in refusal(request)
    assert "deepseek-ai/DeepSeek-V3.2" in refusal(request)
    assert fit(replace(request, trust_remote_code=True)).fits

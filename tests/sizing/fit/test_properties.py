"""What must hold for every model, GPU and setting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.fit import Fit, FitRequest, Measured, fit
from sizing.hardware.accelerators import ACCELERATORS, Accelerator
from sizing.models.models import MODELS, Model
from tests.sizing.models.layers import full_attention_layers

UNIFORM = [
    name
    for name, model in MODELS.items()
    if full_attention_layers(model) == model.layers and model.kv_heads > 1
]

models = st.sampled_from(sorted(MODELS)).map(lambda name: MODELS[name])
uniform_models = st.sampled_from(sorted(UNIFORM)).map(lambda name: MODELS[name])
accelerators = st.sampled_from(sorted(ACCELERATORS)).map(lambda name: ACCELERATORS[name])
large = st.sampled_from(["nvidia-h100-80gb", "nvidia-h200-141gb", "nvidia-b200"]).map(
    ACCELERATORS.__getitem__
)
degrees = st.sampled_from([1, 2, 4, 8])
versions = st.sampled_from([None, "0.7", "0.9", "0.11", "0.16", "0.19", "0.21", "0.29", "0.32"])
contexts = st.integers(min_value=1, max_value=40_000)
pools = st.floats(min_value=2, max_value=100)


def with_pool(model: Model, gib: float, **changes: object) -> Fit:
    return fit(
        replace(
            FitRequest(model, ACCELERATORS["nvidia-h200-141gb"], measured=Measured(kv_pool_gib=gib)),
            **changes,
        )
    )


@given(model=models, gpu=accelerators, degree=degrees, version=versions)
def test_every_answer_is_finite_and_says_why(
    model: Model, gpu: Accelerator, degree: int, version: str | None
):
    found = fit(replace(FitRequest(model, gpu), tensor_parallel=degree, engine_version=version))
    assert found.fits == (found.reason == "")
    assert 0 <= found.uncertainty_pct <= 100
    assert 0 <= found.max_context <= model.max_context
    assert 0 <= found.max_concurrency < 1e6
    assert found.kv_tokens >= 0
    assert not found.fits or (found.max_concurrency >= 1 and found.max_num_seqs >= 1)
    terms = found.weights_gib + found.adapters_gib + found.overhead_gib + found.kv_pool_gib
    assert terms == pytest.approx(found.requested_gib)


@given(model=models, gpu=large, first=contexts, second=contexts)
def test_the_context_never_changes_the_pool(model: Model, gpu: Accelerator, first: int, second: int):
    one, other = (fit(FitRequest(model, gpu, max_model_len=context)) for context in (first, second))
    assert one.kv_pool_gib == other.kv_pool_gib
    assert (one.max_concurrency >= other.max_concurrency) or first > second


@given(model=uniform_models, degree=degrees, gpu=large)
def test_more_gpus_never_hold_fewer_tokens_until_heads_run_out(model: Model, degree: int, gpu: Accelerator):
    if model.attention_heads % (2 * degree) or 2 * degree > model.kv_heads:
        return
    # Two GPUs pay for their exchange buffers at once; from there on only weights and cache are divided.
    fewer, more = (
        fit(FitRequest(model, gpu, tensor_parallel=size, measured=Measured(non_torch_gib=1.0)))
        for size in (degree, 2 * degree)
    )
    assert more.kv_tokens >= fewer.kv_tokens
    assert more.weights_gib < fewer.weights_gib


@given(model=uniform_models, degree=degrees, gib=pools)
def test_beyond_the_heads_the_cache_is_copied(model: Model, degree: int, gib: float):
    beyond = model.kv_heads * degree
    if beyond > 64:
        return
    at_heads = with_pool(model, gib, tensor_parallel=model.kv_heads)
    assert with_pool(model, gib, tensor_parallel=beyond).kv_tokens == at_heads.kv_tokens


@given(
    name=st.sampled_from(["deepseek-ai/DeepSeek-V3", "moonshotai/Kimi-K2-Instruct"]),
    degree=degrees,
    gib=pools,
)
def test_a_latent_cache_is_the_same_on_every_gpu(name: str, degree: int, gib: float):
    alone = with_pool(MODELS[name], gib)
    assert with_pool(MODELS[name], gib, tensor_parallel=degree).kv_tokens == alone.kv_tokens
    assert alone.kv_bytes_per_token == 70_272


@given(model=uniform_models, gib=pools)
def test_an_8_bit_cache_doubles_the_tokens(model: Model, gib: float):
    sixteen, eight = with_pool(model, gib), with_pool(model, gib, kv_cache_dtype="fp8")
    assert eight.kv_pool_gib == sixteen.kv_pool_gib
    assert eight.kv_tokens == pytest.approx(2 * sixteen.kv_tokens, abs=64)
    assert eight.kv_bytes_per_token * 2 == sixteen.kv_bytes_per_token


@given(model=models, gpu=large, low=st.floats(0.3, 0.9), more=st.floats(0, 0.09))
def test_a_larger_share_never_holds_less(model: Model, gpu: Accelerator, low: float, more: float):
    smaller, larger = (
        fit(FitRequest(model, gpu, gpu_memory_utilization=share)) for share in (low, low + more)
    )
    assert larger.kv_pool_gib >= smaller.kv_pool_gib
    assert larger.kv_tokens >= smaller.kv_tokens
    assert larger.max_context >= smaller.max_context


@given(model=models, gib=pools)
def test_the_longest_context_fits_and_one_more_does_not(model: Model, gib: float):
    longest = with_pool(model, gib, max_model_len=256).max_context
    if longest > 0:
        assert with_pool(model, gib, max_model_len=longest).max_concurrency >= 1
    if longest < model.max_context:
        assert with_pool(model, gib, max_model_len=longest + 1).max_concurrency < 1


@given(
    usable=st.floats(10, 300), share=st.floats(0.1, 1), weights=st.floats(0, 50), activation=st.floats(0, 5),
    outside=st.floats(0, 5), graphs=st.floats(0, 5), version=versions,
)  # fmt: skip
def test_given_figures_replace_every_constant(
    usable: float, share: float, weights: float, activation: float, outside: float, graphs: float,
    version: str | None,
):  # fmt: skip
    found = fit(
        FitRequest(
            MODELS["Qwen/Qwen3-8B"], ACCELERATORS["nvidia-l4"], engine_version=version,
            gpu_memory_utilization=share,
            measured=Measured(usable, weights, activation, outside, graphs),
        )
    )  # fmt: skip
    assert found.usable_gib == usable
    assert found.kv_pool_gib == pytest.approx(
        usable * share - weights - activation - outside - graphs, abs=1e-6
    )
    assert found.uncertainty_pct == 0


@given(model=models, stages=st.sampled_from([1, 2, 4]))
def test_stages_divide_the_weights(model: Model, stages: int):
    whole = fit(FitRequest(model, ACCELERATORS["nvidia-b300"]))
    divided = fit(FitRequest(model, ACCELERATORS["nvidia-b300"], pipeline_parallel=stages))
    assert divided.weights_gib <= whole.weights_gib
    assert divided.weights_gib >= 0.8 * whole.weights_gib / stages

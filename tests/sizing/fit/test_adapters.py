"""Memory kept for adapters: what vLLM allocates for the same models, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sizing.fit import Measured, fit
from sizing.fit.adapters import LORA_RANKS, AdapterSlots, adapters_gib, slots_for
from sizing.models.architecture import Architecture
from sizing.models.huggingface import architecture
from sizing.models.huggingface.families import FAMILIES
from sizing.models.huggingface.linear_layers import BUILDS
from sizing.models.models import MODELS
from sizing.models.weights import GIB, ONLINE_FP8, stages, whole
from tests.sizing.fit.requests import ask

ALLOCATED: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("adapters_vllm.yaml").read_text(encoding="utf-8")
)
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
FOUR_OF_64 = AdapterSlots(4, 64)

models = st.sampled_from(sorted(MODELS)).map(lambda name: MODELS[name].architecture)
kept = st.builds(AdapterSlots, st.integers(1, 32), st.sampled_from(LORA_RANKS))


def on_gpu(found: Architecture, slots: AdapterSlots | None, degree: int = 1) -> float:
    return adapters_gib(found, ONLINE_FP8, slots, degree, whole(found))


def as_allocated(found: Architecture, degrees: dict[int, int]) -> dict[int, int]:
    return {degree: round(on_gpu(found, AdapterSlots(1, 16), degree) * GIB) for degree in degrees}


@pytest.mark.parametrize("name", ALLOCATED["models"])
def test_every_model_keeps_what_vllm_allocates(name: str):
    degrees = ALLOCATED["models"][name]
    assert as_allocated(ask(name).model.architecture, degrees) == degrees


@pytest.mark.parametrize("name", ALLOCATED["types"])
def test_every_model_type_keeps_what_vllm_allocates(name: str):
    row = ALLOCATED["types"][name]
    found = architecture({**ALLOCATED["common"], **row["config"], "model_type": name}, name)
    assert as_allocated(found, row["bytes"]) == row["bytes"]


def test_it_is_known_how_vllm_builds_every_family():
    assert set(BUILDS) == set(FAMILIES)


def test_a_llama_by_hand():
    # Per layer: queries, keys and values, output, gate and up, down; then embeddings and output layer.
    layer = (3 * 4096 + 4096 + 2 * 1024) + (4096 + 4096) + (2 * 4096 + 2 * 14336) + (14336 + 4096)
    ends = 2 * (128_256 + 4096)
    by_hand = 4 * 64 * 2 * (32 * layer + ends) / GIB
    found = fit(ask(LLAMA, adapters=FOUR_OF_64))
    assert found.adapters_gib == pytest.approx(by_hand)
    assert found.adapters_gib == pytest.approx(1.376, abs=0.001)
    assert found.kv_pool_gib == pytest.approx(fit(ask(LLAMA)).kv_pool_gib - by_hand)


@given(found=models, slots=kept, factor=st.integers(1, 8))
def test_it_is_linear_in_slots_and_rank(found: Architecture, slots: AdapterSlots, factor: int):
    one = on_gpu(found, slots)
    assert on_gpu(found, replace(slots, slots=factor * slots.slots)) == pytest.approx(factor * one)
    assert on_gpu(found, replace(slots, rank=factor * slots.rank)) == pytest.approx(factor * one)
    assert one > 0


@given(found=models, degree=st.sampled_from([1, 2, 4, 8]))
def test_without_adapters_nothing_is_kept(found: Architecture, degree: int):
    assert on_gpu(found, None, degree) == 0


@given(found=models, slots=kept, degree=st.sampled_from([1, 2, 4, 8]))
def test_more_gpus_keep_less_each_but_more_together(found: Architecture, slots: AdapterSlots, degree: int):
    fewer, more = on_gpu(found, slots, degree), on_gpu(found, slots, 2 * degree)
    assert more < fewer < 2 * more


def test_stages_keep_the_whole_together_and_tied_embeddings_twice():
    def together(name: str) -> float:
        found = MODELS[name].architecture
        parts = stages(len(found.layers), 2)
        return sum(adapters_gib(found, ONLINE_FP8, FOUR_OF_64, 1, part) for part in parts)

    assert together(LLAMA) == pytest.approx(on_gpu(MODELS[LLAMA].architecture, FOUR_OF_64))
    tied = MODELS["Qwen/Qwen3-0.6B"].architecture
    again = 4 * 64 * 2 * (151_936 + 1024) / GIB
    assert together("Qwen/Qwen3-0.6B") == pytest.approx(on_gpu(tied, FOUR_OF_64) + again)


def test_experts_in_4_bit_floats_are_padded():
    found = MODELS["openai/gpt-oss-20b"].architecture
    padded = adapters_gib(found, found.quantization, AdapterSlots(1, 16), 1, whole(found)) * GIB
    # 2880 wide on both sides: 2944 (a multiple of 128) within, 3072 (of 256) outside.
    added = 24 * 32 * ((3072 + 2 * 2944) + (2944 + 3072) - 5 * 2880) * 16 * 2
    assert padded - on_gpu(found, AdapterSlots(1, 16)) * GIB == pytest.approx(added)


def test_weights_of_a_log_include_it():
    measured = Measured(weights_gib=16.4)
    found = fit(ask(LLAMA, adapters=FOUR_OF_64, measured=measured))
    assert found.adapters_gib == 0
    assert found.kv_pool_gib == fit(ask(LLAMA, measured=measured)).kv_pool_gib
    assert "included in the given weights" in [line.source for line in found.lines]


@pytest.mark.parametrize(
    ("ranks", "slots"), [([], None), ([8], (1, 8)), ([8, 33, 2], (3, 64)), ([400], (1, 512))]
)
def test_there_is_a_slot_for_each_at_a_rank_that_holds_the_largest(
    ranks: list[int], slots: tuple[int, int] | None
):
    assert slots_for(ranks, LORA_RANKS) == (None if slots is None else AdapterSlots(*slots))


def test_a_refusal_names_adapters_where_they_are_the_cause():
    long = ask(LLAMA, "nvidia-l4", quantization="fp8", max_model_len=65_536)
    assert fit(long).fits
    reason = fit(replace(long, adapters=AdapterSlots(8, 64))).reason
    assert "the 2.75 GiB kept for 8 adapters of rank 64 it would fit, with room for 4 of that rank" in reason
    assert fit(replace(long, adapters=AdapterSlots(4, 64))).fits
    assert not fit(replace(long, adapters=AdapterSlots(5, 64))).fits


def test_a_refusal_for_another_cause_leaves_adapters_alone():
    large = fit(ask("Qwen/Qwen3-32B", "nvidia-l4", adapters=AdapterSlots(1, 8)))
    assert not large.fits
    assert "adapter" not in large.reason


def test_where_no_context_is_left_the_cause_is_named_too():
    reason = fit(
        ask(LLAMA, "nvidia-l4", quantization="fp8", max_model_len=1024, adapters=AdapterSlots(32, 64))
    ).reason
    assert "do not fit" in reason
    assert "kept for 32 adapters of rank 64 it would fit, with room for 27 of that rank" in reason


def test_what_vllm_takes_no_adapters_of():
    llama = {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 4,
        "num_attention_heads": 16, "vocab_size": 262_144, "max_position_embeddings": 4096,
    }  # fmt: skip
    request = ask(LLAMA, adapters=AdapterSlots(1, 8))
    large = replace(request.model, architecture=architecture(llama, "a.json"))
    assert "at most 258048" in fit(replace(request, model=large)).reason
    # Gemma's output layer takes none, so its larger vocabulary does not matter.
    assert fit(ask("google/gemma-3-27b-it", max_model_len=4096, adapters=AdapterSlots(1, 8))).fits
    kimi = {"model_type": "kimi_vl", "text_config": {**llama, "vocab_size": 32_000, "model_type": "llama"}}
    named = replace(request.model, architecture=architecture(kimi, "b.json"))
    assert "KimiVLForConditionalGeneration" in fit(replace(request, model=named)).reason


def test_other_engines_keep_adapters_in_ways_that_are_not_known():
    with pytest.raises(ValueError, match="only known of vllm"):
        fit(ask(LLAMA, engine="sglang", adapters=AdapterSlots(1, 8)))


def test_layers_that_are_not_counted_are_named():
    gemma = {
        "model_type": "gemma4_text", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 6,
        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 262_144, "sliding_window": 512,
        "hidden_size_per_layer_input": 256,
    }  # fmt: skip
    request = ask(LLAMA)
    small = replace(request, model=replace(request.model, architecture=architecture(gemma, "a.json")))
    assert "inputs of each layer" in " ".join(fit(replace(small, adapters=AdapterSlots(1, 8))).warnings)
    assert "adapters" not in " ".join(fit(small).warnings)

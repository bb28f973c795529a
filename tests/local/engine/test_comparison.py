"""The emulator against what a real vLLM showed when local/engine/comparison/observed.json was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.engine.comparison import metric_families
from local.engine.comparison.differences import all_differences, judge, known_differences
from local.engine.comparison.exchanges import EXCHANGES, Shape, differences
from local.engine.comparison.facts import Observed, observe, read_observed
from local.engine.comparison.pooling import (
    POOLING_ENGINES,
    exchange_names,
    observe_answers,
    read_observed_answers,
)
from local.engine.comparison.servers import emulator
from local.engine.comparison.tiny_model import byte_alphabet, write_tiny_model

PAGE = """\
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 3.0
# TYPE vllm:delay histogram
vllm:delay_bucket{engine="0",le="0.5",model_name="m"} 1.0
vllm:delay_bucket{engine="0",le="+Inf",model_name="m"} 1.0
vllm:delay_count{engine="0",model_name="m"} 1.0
vllm:delay_sum{engine="0",model_name="m"} 0.2
"""


@pytest.fixture(scope="module")
def real() -> Observed:
    return read_observed()


@pytest.fixture(scope="module")
def emulated() -> Iterator[Observed]:
    with emulator() as server:
        yield observe(server)


@pytest.fixture(scope="module")
def emulated_answers() -> dict[str, Shape]:
    """Of engines that embed or rerank."""
    found: dict[str, Shape] = {}
    for engine in POOLING_ENGINES:
        with emulator(*engine.emulator_flags, model=engine.emulated_model) as server:
            found |= observe_answers(engine, server)
    return found


def test_the_emulator_differs_from_vllm_only_where_it_says_so(
    real: Observed, emulated: Observed, emulated_answers: dict[str, Shape]
):
    answers = differences(read_observed_answers(), emulated_answers)
    verdict = judge({**all_differences(real, emulated), **answers})
    assert dict(verdict.unexpected) == {}
    assert verdict.gone == ()


def test_the_observation_is_of_a_whole_vllm(real: Observed):
    assert len([name for name in real.idle if name.startswith("vllm:")]) > 60
    assert set(real.answers) == {exchange.name for exchange in EXCHANGES}
    assert set(read_observed_answers()) == exchange_names()


def test_a_difference_is_found(real: Observed):
    name = "vllm:time_to_first_token_seconds"
    changed = replace(real.idle[name], buckets=("0.1", "+Inf"), type="summary")
    other = Observed({**real.idle, name: changed}, real.used, real.answers)
    assert set(all_differences(real, other)) == {f"idle metric {name} buckets", f"idle metric {name} type"}
    missing = Observed(real.idle, {}, real.answers)
    assert len(all_differences(real, missing)) == len(real.used)


def test_families_of_a_page():
    found = metric_families.families(PAGE)
    assert found["vllm:delay"].buckets == ("0.5", "+Inf")
    assert found["vllm:delay"].labels == ("engine", "model_name")
    assert found["vllm:prompt_tokens"].type == "counter"
    assert metric_families.from_data(metric_families.as_data(found)) == found


def test_known_differences_have_reasons():
    assert all(len(reason) > 30 for reason in known_differences().values())


def test_the_tiny_models_tokenizer_has_a_token_for_every_byte(tmp_path: Path):
    assert len(set(byte_alphabet())) == 256
    folder = write_tiny_model(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert config["vocab_size"] == len(tokenizer["model"]["vocab"]) == 258

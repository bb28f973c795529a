from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from local.engine.metrics import BUCKETS, EngineMetrics, Finished, one_two_five
from serving.engines.vllm import HISTOGRAMS
from tests.local.engine.conftest import quick_engine


def metrics(*flags: str) -> tuple[EngineMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    engine, server = quick_engine(*flags)
    return EngineMetrics(registry, engine, server), registry


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"vllm:{name}", {"model_name": "chat", "engine": "0", **labels})


def finished(**changed: float) -> Finished:
    times = {"arrived": 0.0, "queued": 0.1, "scheduled": 0.4, "first_token": 1.4, "last_token": 3.4}
    return Finished(
        reason="stop",
        prompt_tokens=100,
        cached_tokens=32,
        generated_tokens=5,
        max_tokens=50,
        preemptions=1,
        **{**times, **changed},
    )


def test_every_labelled_series_is_zero_from_the_start():
    _, registry = metrics()
    for reason in ("stop", "length", "abort", "error", "repetition"):
        assert sample(registry, "request_success_total", finished_reason=reason) == 0
    for reason in ("capacity", "deferred"):
        assert sample(registry, "num_requests_waiting_by_reason", reason=reason) == 0
    assert sample(registry, "engine_sleep_state", sleep_state="awake") == 1


def test_the_intervals_of_a_finished_request():
    recorded, registry = metrics()
    recorded.finish(finished())
    expected = {
        "e2e_request_latency_seconds": 3.4,
        "request_queue_time_seconds": 0.3,
        "request_prefill_time_seconds": 1.0,
        "request_decode_time_seconds": 2.0,
        "request_inference_time_seconds": 3.0,
        "request_time_per_output_token_seconds": 0.5,
        "request_prefill_kv_computed_tokens": 68,
        "request_num_preemptions": 1,
        "request_params_max_tokens": 50,
    }
    for name, value in expected.items():
        seen = sample(registry, f"{name}_sum")
        assert seen is not None
        assert abs(seen - value) < 1e-9, name
    assert sample(registry, "request_success_total", finished_reason="stop") == 1


def test_a_one_token_reply_has_no_time_per_token():
    recorded, registry = metrics()
    one = finished(last_token=1.4)
    recorded.finish(
        Finished(**{**{f: getattr(one, f) for f in one.__dataclass_fields__}, "generated_tokens": 1})
    )
    assert sample(registry, "request_time_per_output_token_seconds_count") == 1
    assert sample(registry, "request_time_per_output_token_seconds_sum") == 0


def test_custom_buckets_replace_a_familys_own():
    recorded, registry = metrics("--custom-histogram-buckets", '{"time_to_first_token": [0.4, 1.5]}')
    recorded.first_token(0.45, 10, 0)
    assert sample(registry, "time_to_first_token_seconds_bucket", le="0.4") == 0
    assert sample(registry, "time_to_first_token_seconds_bucket", le="1.5") == 1
    assert sample(registry, "time_to_first_token_seconds_bucket", le="1.0") is None


def test_token_counts_are_bounded_by_the_context():
    assert one_two_five(2048) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    assert one_two_five(1) == [1]


def test_the_program_and_the_emulator_agree_on_vllms_buckets():
    for family, bounds in HISTOGRAMS.items():
        assert list(BUCKETS[family]) == bounds


def test_counters_have_the_time_they_were_made():
    _, registry = metrics()
    assert b"vllm:prompt_tokens_created{" in generate_latest(registry)

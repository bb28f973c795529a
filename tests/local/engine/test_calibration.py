from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.engine.calibration.__main__ import main, measured_row
from local.engine.calibration.fit import (
    fit_step_time,
    held_out_predictions,
    mean_step_ms,
    non_negative_fit,
    solve,
    tpot_error,
)
from local.engine.calibration.points import Configuration, Point, read_points
from local.engine.calibration.roofline import fit_roofline, unseen_gpu_errors
from sizing.capacity.timing import StepTime, fitted_roofline, measured_rows, roofline_time
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model

TRUE = StepTime(12.0, 0.05, 3e-5, "measured", "made up")
COLUMNS = (
    "engine,engine_version,model,gpu,precision,tensor_parallel,pipeline_parallel,attention_data_parallel,"
    "expert_parallel,prompt_tokens,output_tokens,concurrency,ttft_ms,tpot_ms,measured"
)


def points(timing: StepTime = TRUE) -> list[Point]:
    """Measurements as a machine with these constants would give them."""
    made = []
    for prompt, output in ((1024, 1024), (8192, 1024), (1024, 8192)):
        for concurrency in (4, 8, 16, 64):
            empty = Point(prompt, output, concurrency, 100.0, 0.0, "", "0.0")
            made.append(Point(prompt, output, concurrency, 100.0, mean_step_ms(timing, empty), "", "0.0"))
    return made


def test_a_linear_system():
    assert solve([[0.0, 2.0], [4.0, 1.0]], [6.0, 7.0]) == pytest.approx([1.0, 3.0])


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 50), st.floats(0.001, 1), st.floats(1e-6, 1e-3))
def test_exact_measurements_give_back_the_constants(alpha: float, beta: float, gamma: float):
    fitted = fit_step_time(points(StepTime(alpha, beta, gamma, "measured", "")))
    assert (fitted.alpha_ms, fitted.beta_ms, fitted.gamma_ms) == pytest.approx((alpha, beta, gamma), rel=1e-4)


def test_no_constant_is_negative():
    assert non_negative_fit([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], [3.0, 2.0, 1.0])[1] == 0.0


def test_an_unseen_concurrency_is_predicted():
    predictions = held_out_predictions(points())
    assert len(predictions) == 12
    for point, timing in predictions:
        assert mean_step_ms(timing, point) == pytest.approx(point.tpot_ms, rel=1e-3)
    assert tpot_error(TRUE, points()) < 1e-9


def test_a_row_reports_what_no_step_explains():
    row = measured_row(Configuration("Qwen/Qwen3-32B", "nvidia-h100-80gb", "bf16", 2), points()[:8], TRUE)
    assert row.tpot_error < 1e-9
    assert row.request_ms >= 0
    assert "vLLM 0.0" in row.source


def write_table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join((COLUMNS, *rows)) + "\n")
    return path


def test_only_usable_measurements_are_read(tmp_path: Path):
    good = [
        f"vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,{concurrency},150,18.0,"
        for concurrency in range(1, 9)
    ]
    bad = [
        "trtllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,9,150,18.0,",
        "vllm,1,unknown/model,h100_sxm,,2,1,,1,1024,128,9,150,18.0,",
        "vllm,1,Qwen/Qwen3-32B,gb200,,2,1,,1,1024,128,9,150,18.0,",
        "vllm,1,Qwen/Qwen3-32B,h100_sxm,,2,2,,1,1024,128,9,150,18.0,",
        "vllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,9,7000,18.0,",
    ]
    read = read_points(write_table(tmp_path / "table.csv", *good, *bad))
    assert list(read) == [Configuration("Qwen/Qwen3-32B", "nvidia-h100-80gb", "bf16", 2)]
    assert [point.concurrency for point in next(iter(read.values()))] == list(range(1, 9))


def test_the_roofline_is_found_again_in_its_own_estimates():
    known = fitted_roofline()
    configurations = [
        Configuration(name, gpu, "fp8", gpus)
        for name in ("meta-llama/Llama-3.1-70B-Instruct", "Qwen/Qwen3-32B")
        for gpu in ("nvidia-h100-80gb", "nvidia-h200-141gb")
        for gpus in (2, 4)
    ]
    fits = {
        each: roofline_time(
            known, model(each.model), accelerator(each.accelerator), "fp8", each.tensor_parallel
        )
        for each in configurations
    }
    found = fit_roofline(fits, "test")
    assert found.weight_read_efficiency == pytest.approx(known.weight_read_efficiency, rel=0.01)
    assert found.layer_overhead_ms == pytest.approx(known.layer_overhead_ms, rel=0.01)
    assert found.compute_efficiency == pytest.approx(known.compute_efficiency, rel=0.01)
    assert found.kv_read_efficiency == pytest.approx(known.kv_read_efficiency, rel=0.01)
    made = {each: points(timing) for each, timing in fits.items()}
    assert max(unseen_gpu_errors(fits, made).values()) < 0.01


def test_the_command_wants_one_file(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_kept_rows_say_where_they_come_from():
    for row in measured_rows().values():
        assert "silicon_sample.csv" in row.source

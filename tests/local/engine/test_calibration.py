from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.engine.calibration.__main__ import main, measured_row
from local.engine.calibration.check import agreements
from local.engine.calibration.fit import (
    fit_step_time,
    held_out_predictions,
    mean_step_ms,
    non_negative_fit,
    solve,
    tpot_error,
)
from local.engine.calibration.points import (
    PUBLISHED,
    Configuration,
    Measurements,
    Point,
    TableError,
    read_points,
)
from local.engine.calibration.roofline import (
    dense_fits,
    estimate,
    fit_experts,
    fit_roofline,
    unseen_gpu_errors,
)
from sizing.capacity.timing import StepTime, fitted_roofline, measured_rows

TRUE = StepTime(12.0, 0.05, 3e-5, "measured", "made up", sequence_ms=0.03)
EXPERTS = StepTime(4.0, 0.02, 1e-5, "measured", "made up", sequence_ms=0.03, experts_ms=12.0, unread=31 / 32)
COLUMNS = (
    "engine,engine_version,model,gpu,precision,tensor_parallel,pipeline_parallel,attention_data_parallel,"
    "expert_parallel,prompt_tokens,output_tokens,concurrency,ttft_ms,tpot_ms,measured"
)
LLAMA = Configuration("meta-llama/Llama-3.1-70B-Instruct", "nvidia-h100-80gb", "fp8", 4)


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
def test_exact_measurements_of_an_exact_estimate_give_back_the_constants(
    alpha: float, beta: float, gamma: float
):
    timing = StepTime(alpha, beta, gamma, "measured", "", sequence_ms=0.02)
    fitted = fit_step_time(points(timing), timing)
    assert (fitted.alpha_ms, fitted.beta_ms, fitted.gamma_ms) == pytest.approx((alpha, beta, gamma), rel=1e-4)


@pytest.mark.parametrize("truth", [TRUE, EXPERTS])
def test_measurements_outweigh_an_estimate_that_is_off_by_a_half(truth: StepTime):
    wrong = StepTime(
        truth.alpha_ms * 1.5, truth.beta_ms, truth.gamma_ms / 1.5, "estimated", "",
        sequence_ms=truth.sequence_ms * 1.5, experts_ms=truth.experts_ms * 1.5, unread=truth.unread,
    )  # fmt: skip
    assert tpot_error(wrong, points(truth)) > 0.2
    assert tpot_error(fit_step_time(points(truth), wrong), points(truth)) < 0.02


def test_one_measurement_moves_the_estimate_to_it():
    (one,) = [point for point in points(EXPERTS) if point.shape == (1024, 1024, 16)]
    estimated = StepTime(8.0, 0.04, 2e-5, "estimated", "", sequence_ms=0.06, experts_ms=24.0, unread=31 / 32)
    fitted = fit_step_time([one], estimated)
    assert mean_step_ms(fitted, one) == pytest.approx(one.tpot_ms, rel=0.05)


def test_no_constant_is_negative():
    assert non_negative_fit([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], [3.0, 2.0, 1.0])[1] == 0.0


def test_an_unseen_concurrency_is_predicted():
    predictions = held_out_predictions(points(), TRUE)
    assert len(predictions) == 12
    for point, timing in predictions:
        assert mean_step_ms(timing, point) == pytest.approx(point.tpot_ms, rel=1e-3)
    assert tpot_error(TRUE, points()) < 1e-9


def test_a_row_says_where_it_comes_from_and_how_far_off_it_is():
    row = measured_row(LLAMA, points(), TRUE, TRUE, "from a table")
    assert row.tpot_error < 1e-9
    assert row.tpot_error_held_out == pytest.approx(0, abs=1e-3)
    assert row.source == "vLLM 0.0; from a table"
    (one, *_) = points()
    assert measured_row(LLAMA, [one], TRUE, TRUE, "x").tpot_error_held_out is None


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
        "vllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,4,1,1024,128,9,150,18.0,",
        "vllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,257,150,18.0,",
    ]
    read = read_points(write_table(tmp_path / "table.csv", *good, *bad))
    assert list(read.points) == [Configuration("Qwen/Qwen3-32B", "nvidia-h100-80gb", "bf16", 2)]
    assert [point.concurrency for point in next(iter(read.points.values()))] == list(range(1, 9))
    assert read.scattered == []


def test_repeats_count_by_their_median_or_not_at_all(tmp_path: Path):
    def row(streams: int, tpot: float) -> str:
        return f"vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,{streams},150,{tpot},"

    # 12.5 / 10 is 1.25, 12.6 / 10 is more.
    table = write_table(
        tmp_path / "table.csv", *(row(8, tpot) for tpot in (10, 11, 12.5)), row(9, 10), row(9, 12.6)
    )
    read = read_points(table)
    (kept,) = next(iter(read.points.values()))
    assert (kept.concurrency, kept.tpot_ms) == (8, 11)
    (left_out,) = read.scattered
    assert left_out == (
        "Qwen/Qwen3-32B bf16, 2 x nvidia-h100-80gb, 1024/128 tokens, 9 streams: 10, 12.6 ms per token"
    )


def made(constants: StepTime | None = None) -> Measurements:
    """Measurements as the shipped estimates, or one set of constants, would give them."""
    names = [
        ("meta-llama/Llama-3.1-70B-Instruct", "fp8"),
        ("Qwen/Qwen3-32B", "fp8"),
        ("openai/gpt-oss-120b", "mxfp4"),
    ]
    configurations = [
        Configuration(name, gpu, precision, gpus)
        for name, precision in names
        for gpu in ("nvidia-h100-80gb", "nvidia-h200-141gb")
        for gpus in (2, 4)
    ]
    known = fitted_roofline()
    return Measurements({each: points(constants or estimate(known, each)) for each in configurations}, ())


def test_the_roofline_is_found_again_in_its_own_estimates():
    known, measured = fitted_roofline(), made().points
    found = fit_experts(fit_roofline(dense_fits(measured), "test"), measured)
    # This fit takes the host's time per sequence for arithmetic and cache, and reads experts the faster.
    assert found.weight_read_efficiency == pytest.approx(known.weight_read_efficiency, rel=0.02)
    assert found.layer_overhead_ms == pytest.approx(known.layer_overhead_ms, rel=0.06)
    assert found.experts_read_efficiency == pytest.approx(known.experts_read_efficiency, rel=0.1)
    assert 0.5 < found.compute_efficiency / known.compute_efficiency <= 1
    assert max(unseen_gpu_errors(measured).values()) < 0.15


def test_the_check_compares_what_is_planned():
    found = {(each.model, each.accelerator): each for each in agreements(made())}
    assert len(found) == 6
    fitted = found["Qwen/Qwen3-32B", "nvidia-h200-141gb"]
    # Nobody measured it: the plan is the estimate, from which the measurements were made.
    assert (fitted.measured, fitted.estimated, fitted.within) == (0, 2, 1.0)
    assert fitted.median == pytest.approx(0, abs=1e-9)
    slow = {
        (each.model, each.accelerator): each
        for each in agreements(made(StepTime(500, 1, 1e-3, "measured", "")))
    }
    assert all(each.within == 0 and each.worst < -0.5 for each in slow.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read as CSV"),
        ("engine,model\nvllm,x\n", "no column 'precision'"),
        (
            f"{COLUMNS}\nvllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,many,128,8,150,18,\n",
            "line 2: invalid literal",
        ),
        (f"{COLUMNS}\nvllm,1,Qwen/Qwen3-32B,h100_sxm,,2,1,,1,1024,128,8,150,0,\n", "must be above 0"),
        (f"{COLUMNS}\nvllm,1,Qwen/Qwen3-32B\n", "line 2"),
        (f"{COLUMNS}\n", "no row of vLLM with a model and a GPU that are known here"),
    ],
)
def test_a_table_of_no_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
):
    path = tmp_path / "table.csv"
    if text is not None:
        path.write_text(text)
    assert main(["check", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(path))
    assert said in line


def test_a_column_that_is_missing_is_named(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("engine\nvllm\n")
    with pytest.raises(TableError, match="no column 'model'"):
        read_points(path)


def test_the_command_wants_an_action_and_a_file(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert main(["check"]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_kept_rows_say_where_they_come_from():
    for row in measured_rows().values():
        assert "silicon_sample.csv" in row.source or "GPUStack" in row.source


def test_published_measurements_are_read():
    assert {each.accelerator for each in read_points(PUBLISHED, most_streams=1024).points} == {
        "nvidia-a100-80gb",
        "nvidia-h100-80gb",
    }

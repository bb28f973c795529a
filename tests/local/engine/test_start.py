from __future__ import annotations

from pathlib import Path

import pytest

from local.engine.compile_cache import compiled_path
from local.engine.start import start_stages
from serving.engines.vllm import VLLM
from serving.startup.stages import start_up
from tests.local.engine.conftest import StartEmulator, quick_engine
from tests.serving.startup.test_stages import POD


def seconds(*flags: str, compiled: bool = False) -> dict[str, float]:
    engine, _ = quick_engine(*flags)
    return {stage.name: stage.seconds for stage in start_stages(engine, compiled)}


def test_an_8b_model_takes_as_long_as_logs_say():
    stages = seconds()
    assert stages["loading weights"] == pytest.approx(15.26 / 0.5, rel=0.005)
    assert stages["torch.compile"] == pytest.approx(39, rel=0.05)
    assert 60 < sum(stages.values()) < 120


def test_eager_mode_compiles_nothing():
    assert set(seconds("--enforce-eager")) == {"process and device set-up", "loading weights"}


def test_the_checkpoint_is_read_as_it_is_stored():
    assert seconds("--quantization", "fp8")["loading weights"] == seconds()["loading weights"]


def test_code_from_the_cache_takes_a_quarter_of_the_time():
    assert seconds(compiled=True)["torch.compile"] == pytest.approx(seconds()["torch.compile"] / 4, rel=0.05)


def test_the_place_of_compiled_code_changes_with_what_it_depends_on(tmp_path: Path):
    engine, _ = quick_engine()
    other, _ = quick_engine("--max-num-seqs", "8")
    paths = {
        compiled_path(tmp_path, engine, "0.32.0"),
        compiled_path(tmp_path, other, "0.32.0"),
        compiled_path(tmp_path, engine, "0.33.0"),
    }
    assert len(paths) == 3


def test_the_second_start_reads_what_the_first_compiled(start_emulator: StartEmulator, tmp_path: Path):
    cache = tmp_path / "vllm"
    first = start_emulator(VLLM_CACHE_ROOT=str(cache))
    assert "saved AOT compiled function" in first.log.read_text()
    second = start_emulator(VLLM_CACHE_ROOT=str(cache))
    assert "Directly load AOT compilation" in second.log.read_text()


def test_the_log_has_the_lines_of_vllm():
    engine, _ = quick_engine()
    lines = [stage.line.format(seconds=1.5) for stage in start_stages(engine, compiled=False)]
    assert lines[1:] == [
        "Loading weights took 1.50 seconds",
        "torch.compile took 1.50 s in total",
        "Graph capturing finished in 2 secs, took 0.00 GiB",
    ]


def test_its_log_is_understood():
    engine, _ = quick_engine()
    log = [stage.line.format(seconds=stage.seconds) for stage in start_stages(engine, compiled=False)]
    found = start_up(POD, [], log, VLLM.start_log)
    assert found.loading == pytest.approx(30.5, abs=0.1)
    assert found.compiling == pytest.approx(39.6, abs=0.1)
    assert found.capturing == pytest.approx(6.5, abs=0.6)

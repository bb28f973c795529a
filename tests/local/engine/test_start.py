from __future__ import annotations

import pytest

from local.engine.start import start_stages
from tests.local.engine.conftest import quick_engine


def seconds(*flags: str) -> dict[str, float]:
    engine, _ = quick_engine(*flags)
    return {stage.name: stage.seconds for stage in start_stages(engine)}


def test_an_8b_model_takes_as_long_as_logs_say():
    stages = seconds()
    assert stages["loading weights"] == pytest.approx(15.26 / 0.5, rel=0.005)
    assert stages["torch.compile"] == pytest.approx(39, rel=0.05)
    assert 60 < sum(stages.values()) < 120


def test_eager_mode_compiles_nothing():
    assert set(seconds("--enforce-eager")) == {"process and device set-up", "loading weights"}


def test_the_checkpoint_is_read_as_it_is_stored():
    assert seconds("--quantization", "fp8")["loading weights"] == seconds()["loading weights"]

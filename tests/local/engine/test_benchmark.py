from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.engine.benchmark import main


def test_the_benchmark_counts_what_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    written = tmp_path / "result.json"
    arguments = ["--replicas", "1", "--streams", "3", "--requests", "1", "--tokens", "20"]
    assert main([*arguments, "--json", str(written)]) == 0
    result = json.loads(written.read_text())
    assert result["tokens"] == 3 * 20
    assert result["tokens_per_second"] == pytest.approx(result["tokens"] / result["seconds"])
    assert 1 <= result["tokens_per_event"] <= 20
    assert result["listening_seconds"] > 0
    assert "tokens/s" in capsys.readouterr().out

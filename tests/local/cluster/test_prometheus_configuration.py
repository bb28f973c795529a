from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from local.cluster import prometheus_configuration
from local.cluster.prometheus_configuration import translated, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(prometheus_configuration, "CONFIGURATION", tmp_path / "prometheus.yaml")
    monkeypatch.setattr(prometheus_configuration, "RULES", tmp_path / "rules")
    (tmp_path / "rules").mkdir()
    return tmp_path


def test_what_the_sidecar_would_fill_in_is_filled_in(folder: Path) -> None:
    text = (
        "replica: $(POD_NAME)\nregex: $(SHARD)\n"
        "rule_files: [/etc/prometheus/rules/prometheus-local-rulefiles-0/*]\n"
    )
    assert translated(gzip.compress(text.encode())) == (
        f"replica: prometheus-local-0\nregex: 0\nrule_files: [{folder / 'rules'}/*]\n"
    )


def test_only_a_difference_leads_to_a_reload(folder: Path) -> None:
    assert write("global: {}\n", {"a.yaml": "groups: []\n", "b.yaml": "groups: []\n"})
    assert not write("global: {}\n", {"a.yaml": "groups: []\n", "b.yaml": "groups: []\n"})
    assert write("global: {}\n", {"a.yaml": "groups: []\n"})
    assert [path.name for path in (folder / "rules").iterdir()] == ["a.yaml"]

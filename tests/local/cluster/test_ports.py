from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

from local.cluster.ports import chosen


def test_ports_differ_from_each_other_and_are_kept(tmp_path: Path) -> None:
    first = chosen(tmp_path / "ports.yaml")
    assert len(set(astuple(first))) == len(astuple(first))
    assert chosen(tmp_path / "ports.yaml") == first
    assert chosen(tmp_path / "other.yaml") != first

from __future__ import annotations

from dataclasses import asdict, astuple
from pathlib import Path

import yaml

from local.cluster.ports import chosen


def test_ports_differ_from_each_other_and_are_kept(tmp_path: Path) -> None:
    first = chosen(tmp_path / "ports.yaml")
    assert len(set(astuple(first))) == len(astuple(first))
    assert chosen(tmp_path / "ports.yaml") == first
    assert chosen(tmp_path / "other.yaml") != first


def test_a_part_that_an_older_cluster_did_not_have_gets_a_port(
    tmp_path: Path,
) -> None:
    first = asdict(chosen(tmp_path / "ports.yaml"))
    del first["hub"]
    (tmp_path / "ports.yaml").write_text(yaml.safe_dump({**first, "forgotten": 1}))
    now = asdict(chosen(tmp_path / "ports.yaml"))
    assert now.items() >= first.items()
    assert now["hub"] not in first.values()

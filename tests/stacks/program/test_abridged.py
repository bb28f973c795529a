"""What golden files leave out: only what is the same elsewhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.verify.job import PROGRAM
from stacks.commands.recording import Registered
from tests.recording import Recording
from tests.stacks.program import dump
from tests.stacks.program.abridged import files
from tests.stacks.program.renderings import RENDERINGS


def registered(*manifests: dict[str, Any]) -> Recording:
    return Recording(
        [
            Registered(f"urn:pulumi:test::p::{item['kind']}::{index}", "t", "n", "", "", item, ())
            for index, item in enumerate(manifests)
        ]
    )


def config_map(data: dict[str, str], name: str = "map") -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def read(rendered: dict[str, str], name: str) -> Any:
    return yaml.safe_load(rendered[name])


def test_a_shipped_file_is_a_note_until_the_text_is_another():
    text = PROGRAM.files["answers.py"]
    rendered = files(registered(config_map({"answers.py": text})))
    assert read(rendered, "configmap-map.yaml")["data"] == {"answers.py": "(text of answers.py)"}
    assert len(rendered) == 2
    for other in (f"{text}#", text[1:], text.replace("\n\n", "\n", 1)):
        rendered = files(registered(config_map({"answers.py": other})))
        assert rendered["configmap-map/answers.py"] == other
        assert read(rendered, "configmap-map.yaml")["data"] == {
            "answers.py": "(file configmap-map/answers.py)"
        }


@pytest.mark.parametrize("width", [40, 200])
def test_an_envoy_document_does_not_depend_on_how_it_is_written(width: int):
    document = {"resources": [{"b": "words " * 30, "a": [1, 2.5, True, None]}]}
    texts = [json.dumps(document), yaml.safe_dump(document, sort_keys=False, width=width)]
    rendered = [files(registered(config_map({"routes.yaml": text}))) for text in texts]
    assert rendered[0] == rendered[1]
    assert read(rendered[0], "configmap-map/routes.yaml") == document
    document["resources"][0]["a"] = [1, 2.5, True, ""]
    assert files(registered(config_map({"routes.yaml": json.dumps(document)}))) != rendered[0]


def job(name: str, reads: str) -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"name": name}, "spec": {"volumes": [{"configMap": {"name": reads}}]}}


def test_fingerprints_are_zeros_and_still_tell_who_refers_to_whom():
    first, second = "verify-0123456789", "verify-abcdef0123"
    same = [registered(job(name, name), config_map({}, name)) for name in (first, second)]
    assert files(same[0]) == files(same[1])
    assert read(files(same[0]), "job-verify.yaml")["spec"]["volumes"][0]["configMap"]["name"].endswith(
        "-0000000000"
    )
    # A program of another fingerprint than its Job's, and one that is not registered.
    assert files(registered(job(first, second), config_map({}, second))) != files(same[0])
    assert second in files(registered(job(first, second)))["job-verify.yaml"]


def test_only_the_checksum_of_a_registered_text_is_a_note():
    def pod(checksum: str) -> dict[str, Any]:
        return {"kind": "Pod", "metadata": {"name": "pod", "annotations": {"checksum": checksum}}}

    right = hashlib.sha256(b"text").hexdigest()
    rendered = files(registered(config_map({"key": "text"}), pod(right)))
    assert read(rendered, "pod-pod.yaml")["metadata"]["annotations"]["checksum"] == "(SHA-256 of key in map)"
    rendered = files(registered(config_map({"key": "other"}), pod(right)))
    assert read(rendered, "pod-pod.yaml")["metadata"]["annotations"]["checksum"] == right


def test_a_board_shows_a_changed_query_as_one_changed_line():
    def board(expr: str, unit: str = "s") -> str:
        panel = {"title": "Replicas", "gridPos": {"h": 7, "w": 24, "x": 0, "y": 8}, "unit": unit}
        target = {"expr": expr, "legendFormat": "ready"}
        return json.dumps({"title": "b", "panels": [{**panel, "targets": [target]}]}, indent=2)

    def lines(text: str) -> list[str]:
        return files(registered(config_map({"board.json": text})))["configmap-map/board.json"].splitlines()

    assert lines(board("sum(a)"))[-1] == '  "ready" sum(a)'
    for other in (board("sum(b)"), board("sum(a)", unit="m")):
        assert sum(a != b for a, b in zip(lines(board("sum(a)")), lines(other), strict=True)) == 1


def test_a_dump_is_the_same_for_the_same_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dump, "RENDERINGS", {"local": RENDERINGS["local"]})
    written = []
    for name in ("first", "second"):
        assert dump.main([str(tmp_path / name)]) == 0
        paths = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append(
            {path.relative_to(tmp_path / name): path.read_text(encoding="utf-8") for path in paths}
        )
    assert {path.parts[0] for path in written[0]} == {"local"}
    assert written[0] == written[1]
    assert dump.main([str(tmp_path / "first")]) == 2

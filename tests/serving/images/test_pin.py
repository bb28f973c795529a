"""`make pin-images`: digests into the table, everything else as it was, nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from serving.images import pin as pin_images
from serving.images.pin import main
from serving.images.pinned import TABLE, Image
from serving.images.reference import ImageReference
from serving.images.registry import RegistryError, Resolved
from sizing.tables import read_table

NEW = f"sha256:{'ab' * 32}"
OLD = f"sha256:{'cd' * 32}"

ROWS = f"""\
# A comment above.
all_rows: {{}}
rows:
  engine: # what computes
    repository: example/engine
    # Between two lines.
    tag: v1 # the oldest without holes
    digest: null # for now
    as_of: 2026-01-01
    source: nobody knew
    waiver:
      reason: the registry could not be reached
      # Inside the waiver.
      expires: 2027-01-31

  # Above a row.
  proxy:
    repository: registry.example/proxy
    tag: v2
    digest: {OLD}
    as_of: 2026-01-02
    source: somebody said so
# At the end.
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "images.yaml"
    path.write_text(ROWS, encoding="utf-8")
    return path


def registry(answers: Mapping[str, str | RegistryError]):
    def ask(reference: ImageReference) -> Resolved:
        answer = answers[reference.repository]
        if isinstance(answer, RegistryError):
            raise answer
        return Resolved(answer, platforms=True)

    return ask


OFFLINE = RegistryError("registry.example cannot be reached from here")


def test_what_is_resolved_is_written_and_comments_stay(table, capsys):
    assert main([], table, registry({"example/engine": NEW, "proxy": OLD})) == 0
    today = date.today().isoformat()
    expected = ROWS.replace("digest: null # for now", f"digest: {NEW}")
    expected = expected.replace("as_of: 2026-01-01", f"as_of: {today}")
    expected = expected.replace("source: nobody knew", "source: docker.io, asked by make pin-images")
    start, end = expected.index("    waiver:"), expected.index("\n  # Above a row.")
    assert table.read_text() == expected[:start] + expected[end:]
    printed = " ".join(capsys.readouterr().out.split())
    assert "pinned, its" in printed
    assert "unchanged" in printed
    assert "1 of 2 rows written" in printed


def test_a_tag_that_moved_is_said(table, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["proxy"], table, registry({"proxy": NEW})) == 0
    assert read_table(table, Image)["proxy"].digest == NEW
    assert "the tag has moved since 2026-01-02: read why" in capsys.readouterr().out


def test_offline_nothing_changes_and_the_reason_is_there(table, capsys):
    assert main([], table, registry({"example/engine": OFFLINE, "proxy": OFFLINE})) == 1
    assert table.read_text() == ROWS
    printed = capsys.readouterr()
    assert "not resolved" in printed.out
    assert "Not resolved: engine, proxy; those rows are as they were" in printed.err


def test_one_registry_of_two(table):
    assert main([], table, registry({"example/engine": NEW, "proxy": OFFLINE})) == 1
    rows = read_table(table, Image)
    assert (rows["engine"].digest, rows["engine"].waiver) == (NEW, None)
    assert rows["proxy"] == read_rows(ROWS, table.parent)["proxy"]
    assert [path.name for path in table.parent.iterdir()] == ["images.yaml"]


def read_rows(text: str, folder: Path) -> Mapping[str, Image]:
    path = folder / "compared.yaml"
    path.write_text(text, encoding="utf-8")
    rows = read_table(path, Image)
    path.unlink()
    return rows


def test_a_row_that_is_not_known(table, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["engin"], table, registry({}))
    assert ended.value.code == 2
    assert "did you mean engine?" in capsys.readouterr().err


FLOW = """\
rows:
  engine: {repository: example/engine, tag: v1, digest: null, as_of: 2026-01-01, source: nobody,
    waiver: {reason: the registry could not be reached, expires: 2027-01-31}}
"""


@pytest.mark.parametrize("text", [FLOW, ROWS.replace("    digest: null # for", '    "digest": null # for')])
def test_a_file_that_is_laid_out_otherwise_is_left_alone(table, text, capsys):
    table.write_text(text, encoding="utf-8")
    assert main(["engine"], table, registry({"example/engine": NEW})) == 1
    assert table.read_text() == text
    assert f"by hand: engine {NEW}" in capsys.readouterr().err


def test_a_write_that_fails_leaves_the_file_whole(table, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pin_images.os, "replace", refuse)
    with pytest.raises(OSError, match="no space"):
        main([], table, registry({"example/engine": NEW, "proxy": OLD}))
    assert table.read_text() == ROWS
    assert [path.name for path in table.parent.iterdir()] == ["images.yaml"]


def test_the_table_itself_can_be_edited(tmp_path):
    path = tmp_path / "images.yaml"
    shutil.copy(TABLE, path)
    assert main([], path, lambda _: Resolved(NEW, platforms=False)) == 0
    rows = read_table(path, Image)
    assert {row.digest for row in rows.values()} == {NEW}
    comments = [line.partition("#")[2] for line in TABLE.read_text().splitlines() if "#" in line]
    assert comments
    for comment in comments:
        assert comment in path.read_text()

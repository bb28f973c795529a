"""Odd answers of a hub, odd tokens and addresses: one line and the right exit status, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.weights.stager import __main__ as stager
from serving.weights.stager import hub, listing
from serving.weights.stager.choice import MAX_INDEX_BYTES, choose, index_parts
from serving.weights.stager.files import Interrupted, Refused
from serving.weights.stager.hub import Repository
from tests.serving.weights.hubs import MODEL, REVISION, WEIGHTS, Misbehaving, item, run, send, serving
from tests.serving.weights.hubs import listing as replying

GOOD: dict[str, Any] = {
    "rfilename": "model.safetensors",
    "size": 3,
    "blobId": "0" * 40,
    "lfs": {"sha256": "0" * 64, "size": 3},
}


class Answering(Misbehaving):
    """A hub whose listing is set by each test, and whose files have no content."""

    def __init__(self) -> None:
        self.body = b""
        super().__init__(lambda handler: send(handler, 200, self.body), lambda handler: send(handler, 200))


@pytest.fixture(scope="module")
def answering() -> Iterator[tuple[str, Answering]]:
    with serving(server := Answering()) as url:
        yield url, server


def of(*siblings: Any) -> bytes:
    return json.dumps({"sha": REVISION, "siblings": siblings}).encode()


ODD: dict[str, bytes] = {
    "size null": of({"rfilename": "config.json", "blobId": "0" * 40, "size": None}),
    "size of weights null": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": None}}),
    "size a text": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": "3"}}),
    "size negative": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": -1}}),
    "size a fraction": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": 2.5}}),
    "size true": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": True}}),
    "size 10^15": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": 10**15}}),
    "size 10^4000": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": 10**4000}}),
    "size larger than the volume": of({**GOOD, "lfs": {"sha256": "0" * 64, "size": 2**40 - 1}}),
    "size NaN": of(GOOD).replace(b'"size": 3', b'"size": NaN'),
    "size infinite": of(GOOD).replace(b'"size": 3', b'"size": 1e999'),
    "entry a number": of(GOOD, 7),
    "entry null": of(GOOD, None),
    "entry a list": of(GOOD, [[]]),
    "name null": of(GOOD, {**GOOD, "rfilename": None}),
    "name a number": of(GOOD, {**GOOD, "rfilename": 7}),
    "name missing": of({"size": 3}),
    "name empty": of({**GOOD, "rfilename": ""}),
    "name with NUL": of({**GOOD, "rfilename": "a\0.safetensors"}),
    "name with a lone surrogate": of({**GOOD, "rfilename": "\ud800.safetensors"}),
    "name with an end of line": of({**GOOD, "rfilename": "a\n.safetensors"}),
    "name with a line separator": of({**GOOD, "rfilename": "a\u2028.safetensors"}),
    "name with ..": of({**GOOD, "rfilename": "../model.safetensors"}),
    "name absolute": of({**GOOD, "rfilename": "/etc/model.safetensors"}),
    "name too long": of({**GOOD, "rfilename": "a" * 256 + ".safetensors"}),
    "twice": of(GOOD, GOOD),
    "twice with other sizes": of(GOOD, {**GOOD, "lfs": {"sha256": "0" * 64, "size": 4}}),
    "lfs a text": of({**GOOD, "lfs": "x"}),
    "checksum null": of({**GOOD, "lfs": {"sha256": None, "size": 3}}),
    "checksum short": of({**GOOD, "lfs": {"sha256": "0" * 63, "size": 3}}),
    "checksum a path": of({**GOOD, "lfs": {"sha256": "../" * 21 + "a", "size": 3}}),
    "no checksum": of({"rfilename": "model.safetensors", "size": 3}),
    "siblings null": json.dumps({"sha": REVISION, "siblings": None}).encode(),
    "siblings an object": json.dumps({"sha": REVISION, "siblings": {"a": 1}}).encode(),
    "no siblings": json.dumps({"sha": REVISION}).encode(),
    "nothing listed": of(),
    "no sha": json.dumps({"siblings": [GOOD]}).encode(),
    "sha a number": json.dumps({"sha": 1, "siblings": [GOOD]}).encode(),
    "another sha": json.dumps({"sha": "x\ny", "siblings": [GOOD]}).encode(),
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "empty": b"",
    "a page": b"<html>",
    "not UTF-8": b'{"sha": "\xff"}',
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "a number of 10,000 digits": b'{"sha": ' + b"1" * 10_000 + b"}",
    "cut": of(GOOD)[:-5],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_listing_is_one_line_and_final(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answering: tuple[str, Answering],
    name: str,
):
    url, server = answering
    server.body = ODD[name]
    monkeypatch.setenv("STAGE_ITEMS", json.dumps([item(tmp_path / "model")]))
    monkeypatch.setenv("HUB_ENDPOINT", url)
    monkeypatch.setattr(stager.signal, "signal", lambda number, action: None)
    assert stager.main() == stager.FINAL
    said = capsys.readouterr().err
    assert said.startswith("weights: ")
    assert len(said.splitlines()) == 1
    assert len(said) < 1000


def test_a_listing_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "MAX_LISTING_BYTES", 1000)
    monkeypatch.setattr(listing, "MAX_LISTING_BYTES", 1000)
    server = Answering()
    server.body = b" " * 2000 + of(GOOD)
    with serving(server) as url, pytest.raises(Refused, match="its listing has more than"):
        Repository(url, MODEL, REVISION, None).files()


def test_a_listing_that_breaks_off_is_asked_for_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "FIRST_PAUSE_SECONDS", 0.0)
    asked: list[str] = []

    def broken(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(of(GOOD)[:20])
        handler.close_connection = True

    with serving(Misbehaving(broken, broken)) as url, pytest.raises(Interrupted):
        Repository(url, MODEL, REVISION, None).files()
    assert len(asked) == hub.ATTEMPTS


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["model.safetensors", "config.json", "../a", "/a", "a\0", "\ud800", "0" * 64, "0" * 40]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "rfilename": SCALARS,
        "size": SCALARS,
        "blobId": SCALARS,
        "lfs": VALUES | st.fixed_dictionaries({}, optional={"size": SCALARS, "sha256": SCALARS}),
    },
)
ANSWERS = st.one_of(
    VALUES,
    st.fixed_dictionaries({"sha": SCALARS, "siblings": st.lists(ENTRIES | VALUES, max_size=4) | VALUES}),
)


@given(ANSWERS)
@example({"sha": REVISION, "siblings": [{**GOOD, "rfilename": "a\ud800"}]})
def test_no_answer_is_a_traceback(answer: Any):
    said = "chosen"
    try:
        _, files = listing.listed(json.dumps(answer).encode())
        choose(files, None, MODEL)
    except (listing.NotAListing, Refused) as problem:
        said = str(problem)
    assert len(said.splitlines()) == 1
    assert said.encode()


@given(st.binary(max_size=200))
def test_no_bytes_are_a_traceback(answer: bytes):
    with pytest.raises(listing.NotAListing):
        listing.listed(answer)


@pytest.mark.parametrize(
    "content",
    [
        b"{}", b"[]", b"\xff", b'{"weight_map": 1}', b'{"weight_map": {"a": 1}}',
        b'{"weight_map": {"a": null}}', b'{"weight_map": {"a": ["x"]}}',
        b'{"weight_map": {"a": {}, "b": "x"}}', b"[" * 100_000,
        b'{"weight_map": ["model.safetensors"]}',
    ],
)  # fmt: skip
def test_an_odd_index_is_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(Refused, match="weight_map"):
        index_parts(tmp_path / "index.json", MODEL)


def test_an_index_that_is_too_large_is_not_read(tmp_path: Path):
    with (tmp_path / "index.json").open("wb") as stream:
        stream.truncate(MAX_INDEX_BYTES + 1)
    with pytest.raises(Refused, match="more than any index needs"):
        index_parts(tmp_path / "index.json", MODEL)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", "hf_\u00e4".encode(), b"two tokens", b"two\nlines", b"nul\0", b"a\x7fb"]
)
def test_an_odd_token_file_is_one_line_without_the_token(tmp_path: Path, content: bytes):
    token = tmp_path / "token"
    token.write_bytes(content)
    answer = run("http://127.0.0.1:1", item(tmp_path / "model"), HUB_TOKEN_FILE=str(token))
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "must hold one token" in answer.stderr


@pytest.mark.parametrize(
    "endpoint", ["", "hub", "ftp://127.0.0.1", "file:///etc", "http://[", "http://127.0.0.1:x", "http://a b"]
)
def test_an_address_that_is_no_hubs_is_one_line_and_final(tmp_path: Path, endpoint: str):
    answer = run(endpoint, item(tmp_path / "model"))
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1), answer.stderr


@pytest.mark.parametrize(
    "location", ["http://[", "http://127.0.0.1:x/", "file:///etc/passwd", "ftp://127.0.0.1/", "\u00e4", "//"]
)
def test_an_odd_redirect_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str):
    monkeypatch.setattr(hub, "FIRST_PAUSE_SECONDS", 0.0)

    def moved(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 302, b"", {"Location": location.encode("utf-8").decode("latin-1")})

    with serving(Misbehaving(moved, moved)) as url, pytest.raises((Refused, Interrupted)) as caught:
        Repository(url, MODEL, REVISION, None).files()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [300, 400, 405, 410, 418, 451])
def test_a_status_that_stays_is_not_asked_for_again(status: int):
    asked: list[str] = []

    def refusing(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, status, b"", {"X-Error-Message": "no\tway"})

    with serving(Misbehaving(refusing, refusing)) as url, pytest.raises(Refused, match=f"{status}"):
        Repository(url, MODEL, REVISION, None).files()
    assert len(asked) == 1


@pytest.mark.parametrize("body", [WEIGHTS[:-1], WEIGHTS + b"x", b""], ids=["shorter", "longer", "empty"])
def test_a_file_of_another_length_than_listed_is_final_after_a_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
):
    asked: list[str] = []

    def content(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 200, body)

    with serving(Misbehaving(replying(("model.safetensors", WEIGHTS)), content)) as url:
        monkeypatch.setenv("HUB_ENDPOINT", url)
        with pytest.raises(Refused, match=rf"expected {len(WEIGHTS)} bytes, got {len(body)} bytes"):
            stager.stage(tmp_path / "model", item(tmp_path / "model"))
    assert len(asked) == 2


def test_a_part_that_is_longer_than_the_servers_file_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def content(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range"):
            send(handler, 416, b"", {"Content-Range": f"bytes */{len(WEIGHTS)}"})
        else:
            send(handler, 200, WEIGHTS)

    partial = tmp_path / "model" / ".partial"
    partial.mkdir(parents=True)
    with serving(Misbehaving(replying(("model.safetensors", WEIGHTS)), content)) as url:
        monkeypatch.setenv("HUB_ENDPOINT", url)
        identity = Repository(url, MODEL, REVISION, None).files()[0].identity
        (partial / f"{identity[:16]}-left").write_bytes(b"x" * 100)
        stager.stage(tmp_path / "model", item(tmp_path / "model"))
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == WEIGHTS

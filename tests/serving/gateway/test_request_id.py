"""The id of a request: in every answer, at the engine, and in the log beside the client's own."""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai
import pytest

from serving.gateway.access_log import PATH_CHARACTERS
from serving.gateway.request_id import CLIENT_ID_CHARACTERS
from tests.serving.gateway.engine_server import Engine, serving
from tests.serving.gateway.gateway_process import AUTHORIZATION, access_log_lines, running

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BODY = b'{"model":"chat"}'
TOKEN = f"Authorization: {AUTHORIZATION['Authorization']}\r\n".encode()
LONG = b"a" * 5000


def post(*headers: bytes, body: bytes = BODY, path: bytes = b"/v1/chat/completions") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


AUTHORIZED = TOKEN.strip()

CLIENT_IDS: dict[bytes, str | None] = {
    b"X-Request-Id: abc-1.~_:Z": "abc-1.~_:Z",
    b"X-Client-Request-Id: from-openai": "from-openai",
    b"X-Client-Request-Id: one\r\nX-Request-Id: two": "one",
    b"X-Request-Id: a b": "a",
    b'X-Request-Id: a"},{"status":200': "a",
    b"X-Request-Id: a\xe2\x80\xaeb": "a",
    b"X-Request-Id: a\xff\xfeb": "a",
    b"X-Request-Id: \xff": None,
    b"X-Request-Id: %REQ(authorization)%": None,
    b"X-Request-Id: ": None,
    b"X-Request-Id: one\r\nX-Request-Id: two": "one",
    b"X-Request-Id: " + LONG: "a" * CLIENT_ID_CHARACTERS,
    b"X-Client-Request-Id: " + LONG: "a" * CLIENT_ID_CHARACTERS,
    b"X-Other: a": None,
}
"""Headers of a client, and what of them is logged."""

ERRORS: dict[bytes, int] = {
    post(): 401,
    post(b"Authorization: Bearer x.y.z"): 401,
    post(AUTHORIZED, path=b"/v1/none"): 404,
    post(AUTHORIZED, body=b"{}"): 400,
    post(AUTHORIZED, body=b'{"model": "none"}'): 404,
    post(AUTHORIZED, body=b'{"model": "asleep"}'): 503,
    post(AUTHORIZED, body=b"x" * 70_000): 413,
    post(AUTHORIZED, b"Expect: x"): 200,
    b"GET /v1/models HTTP/1.1\r\n\r\n": 400,
    b"\x16\x03\x01\r\n\r\n": 400,
    b"GET /v1/models#a HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n": 400,
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 61 * 1024 + b"\r\n\r\n": 431,
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n": 200,
    b"GET /v1/models/none HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n": 404,
    b"OPTIONS /v1/models HTTP/1.1\r\nHost: x\r\n\r\n": 401,
}
"""Requests that Envoy or a filter answers, and the status of the answer."""


@dataclass(frozen=True)
class Seen:
    """What requests left behind: answers as (status, id), headers at the engine, lines of the log."""

    answers: list[tuple[int, str | None]]
    engine: list[dict[str, str]]
    log: list[Any]


def run(folder: Path, requests: list[bytes], engine: Engine) -> Seen:
    answers: list[tuple[int, str | None]] = []
    with running(folder, {"chat": [engine.port], "asleep": []}, 64 * 1024) as gateway:
        host, _, port = gateway.clients.rpartition(":")
        for request in requests:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(request)
                response = http.client.HTTPResponse(connection)
                response.begin()
                answers.append((response.status, response.getheader("x-request-id")))
    return Seen(answers, [headers for _, headers, _ in engine.requests], access_log_lines(folder))


def test_every_answer_says_the_id_that_the_log_has(tmp_path: Path):
    with serving() as engine:
        seen = run(tmp_path, list(ERRORS), engine)
    assert [status for status, _ in seen.answers] == list(ERRORS.values())
    for _, found in seen.answers:
        assert UUID.fullmatch(found or ""), found
    assert sorted(line["request_id"] for line in seen.log) == sorted(str(found) for _, found in seen.answers)


def test_the_engine_has_the_same_id_and_the_log_what_is_safe_of_the_clients(tmp_path: Path):
    with serving() as engine:
        seen = run(tmp_path, [post(AUTHORIZED, header) for header in CLIENT_IDS], engine)
    ids = [found for _, found in seen.answers]
    assert [status for status, _ in seen.answers] == [200] * len(CLIENT_IDS)
    assert [headers["x-request-id"] for headers in seen.engine] == ids
    logged = {line["request_id"]: line["client_request_id"] for line in seen.log}
    assert [logged[found] for found in ids] == list(CLIENT_IDS.values())


def test_no_line_of_the_log_grows_with_what_a_client_sends(tmp_path: Path):
    paths = [b"/" + b"x" * 50_000, b"/v1/models/" + b"%e2%80%ae" * 5_000, b"/v1/chat/completions?" + LONG]
    methods = [b"GET", b"POST", b"X" * 20_000]
    requests = [
        method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths for method in methods
    ]
    with serving() as engine:
        seen = run(tmp_path, requests, engine)
    assert len(seen.log) == len(requests)
    assert {len(line["path"] or "") for line in seen.log} <= {0, 20, PATH_CHARACTERS}
    text = (tmp_path / "envoy.log").read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines()) < 2000


ODD_NAMES = [
    "a\u202eb",
    "a\u2028b",
    "a\x7fb",
    "a\x1b[31mb",
    "a\nb",
    "a\x9bb",
    "a\u200fb",
    "\ufeffa",
    "a\U000e0041",
    "é",
]
"""Names of models that turn a line around, end it, or speak to a terminal."""


def test_a_name_of_a_model_stays_one_piece_of_plain_text(tmp_path: Path):
    bodies = [json.dumps({"model": name}, ensure_ascii=False).encode() for name in ODD_NAMES]
    with serving() as engine:
        seen = run(tmp_path, [post(AUTHORIZED, body=body) for body in bodies], engine)
    assert [status for status, _ in seen.answers] == [404] * len(ODD_NAMES)
    logged = [line["model"] for line in seen.log]
    assert logged == [quote(name, safe="[") for name in ODD_NAMES]
    log = (tmp_path / "envoy.log").read_bytes()
    assert not set(log) - {*range(32, 127), ord("\n")}


def test_the_official_client_shows_it(tmp_path: Path):
    with serving() as engine, running(tmp_path, {"chat": [engine.port]}, 64 * 1024) as gateway:
        token = AUTHORIZATION["Authorization"].removeprefix("Bearer ")
        with openai.OpenAI(base_url=f"http://{gateway.clients}/v1", api_key=token, max_retries=0) as client:
            answer = client.chat.completions.create(model="chat", messages=[])
            with pytest.raises(openai.NotFoundError) as refused:
                client.chat.completions.create(model="none", messages=[])
    assert answer._request_id == engine.requests[0][1]["x-request-id"]
    assert UUID.fullmatch(refused.value.request_id or "")

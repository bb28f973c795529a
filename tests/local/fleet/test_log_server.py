from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fleet.log_server import LogRequest, LogRequestError, parse_request, seek_tail


@pytest.mark.parametrize(
    ("target", "request_"),
    [
        ("/containerLogs/ns/pod/main", LogRequest("ns", "pod", "main")),
        ("/containerLogs/ns/pod/main?tailLines=5", LogRequest("ns", "pod", "main", tail_lines=5)),
        ("/containerLogs/ns/pod/main?follow=true", LogRequest("ns", "pod", "main", follow=True)),
        ("/containerLogs/ns/pod/main?previous=true", LogRequest("ns", "pod", "main", previous=True)),
    ],
)
def test_requests(target: str, request_: LogRequest) -> None:
    assert parse_request(target) == request_


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/exec/ns/pod/main?command=sh", 404, "no exec"),
        ("/containerLogs/ns/pod/main?sinceSeconds=60", 400, "use --tail"),
    ],
)
def test_other_requests_are_refused_with_a_reason(target: str, status: int, message: str) -> None:
    with pytest.raises(LogRequestError, match=message) as caught:
        parse_request(target)
    assert caught.value.status == status


@given(st.lists(st.text("ab", max_size=3)), st.booleans(), st.integers(0, 12))
def test_the_tail_is_the_last_lines(lines: list[str], ends_with_newline: bool, count: int) -> None:
    text = "\n".join(lines) + ("\n" if lines and ends_with_newline else "")
    stream = io.BytesIO(text.encode())
    seek_tail(stream, count)
    expected = text.splitlines(keepends=True)[-count:] if count else []
    assert stream.read().decode() == "".join(expected)


def test_the_tail_is_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.fleet.log_server._BLOCK", 7)
    stream = io.BytesIO(b"".join(f"line {number}\n".encode() for number in range(50)))
    seek_tail(stream, 3)
    assert stream.read() == b"line 47\nline 48\nline 49\n"

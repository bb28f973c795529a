"""Every form of a stream is read for what it holds: tokens of any kind, an engine's error, or none at all."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.verify.verifier.streams import Progress, StreamError, read, without_token
from tests.serving.verify.streamed import DONE, EMPTY, ERRORS, ROLE, WRITTEN, Form, chunk, tool_call, usage

FORMS = st.builds(
    Form,
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    space=st.sampled_from(["", " "]),
    keepalive=st.booleans(),
    event_name=st.booleans(),
    last_blank=st.booleans(),
)


def progress_of(stream: bytes) -> Progress:
    progress = Progress()
    read(io.BytesIO(stream), progress)
    return progress


def failure(stream: bytes) -> str:
    with pytest.raises(StreamError) as raised:
        progress_of(stream)
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 450
    return text


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_whatever_a_model_writes_is_a_token(written: dict[str, object]):
    found = progress_of(Form().lines([chunk(ROLE), *[chunk(written)] * 16, chunk({}, "length"), DONE]))
    assert (found.pieces, found.finished, found.ending) == (16, True, "length")
    assert found.has_token


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY.keys())
def test_nothing_written_is_no_token(empty: dict[str, object]):
    found = progress_of(Form().lines([chunk(empty), chunk(empty, "stop"), DONE]))
    assert (found.pieces, found.first, found.finished) == (0, None, True)
    assert without_token(found) == "the stream ended without a token (finish_reason stop)"


@given(
    st.lists(st.sampled_from([*WRITTEN.values(), *EMPTY.values()]), max_size=20),
    FORMS,
    st.one_of(st.none(), st.integers(min_value=0, max_value=100)),
    st.booleans(),
)
def test_in_every_form(deltas: list[dict[str, object]], form: Form, counted: int | None, finished: bool):
    ends = ([] if counted is None else [usage(counted)]) + ([DONE] if finished else [])
    found = progress_of(form.lines([*(chunk(delta) for delta in deltas), *ends]))
    written = [delta for delta in deltas if delta in WRITTEN.values()]
    assert (found.pieces, found.counted, found.finished) == (len(written), counted, finished)
    assert found.has_token == bool(written or counted)


@pytest.mark.parametrize(("event", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_the_engines_own_error_is_repeated(event: str, words: str):
    said = "the engine reports an error in the stream"
    assert failure(Form().lines([event, DONE])) == f"{said}: {words}"
    assert failure(Form().lines([chunk(ROLE), event, DONE])) == f"{said}: {words}"
    after = Form().lines([chunk(ROLE), chunk({"reasoning": "We"}), chunk(tool_call("{")), event])
    assert failure(after) == f"{said} after 2 pieces: {words}"


@given(st.sampled_from([event for event, _ in ERRORS.values()]), FORMS)
def test_an_error_is_found_in_every_form(event: str, form: Form):
    assert failure(form.lines([event])).startswith("the engine reports an error in the stream: ")


def test_tokens_that_a_parser_holds_back_are_counted_by_the_engine():
    found = progress_of(Form().lines([chunk(ROLE), chunk({}, "length"), usage(16), DONE]))
    assert (found.pieces, found.counted, found.has_token) == (0, 16, True)


def test_no_token_at_all_is_said_with_what_is_known():
    found = progress_of(Form().lines([chunk(ROLE, "stop"), usage(0), DONE]))
    assert without_token(found) == (
        "the stream ended without a token (finish_reason stop, 0 tokens by the engine's count)"
    )
    assert without_token(progress_of(b"")) == "the stream ended without a token"
    assert without_token(progress_of(b": ping\n\n: ping\n\n")) == "the stream ended without a token"


def test_usage_with_every_event():
    event = chunk({"reasoning": "We"})[:-1] + ',"usage":{"prompt_tokens":9,"completion_tokens":2}}'
    found = progress_of(Form().lines([event, event, DONE]))
    assert (found.pieces, found.counted) == (2, 2)


def test_what_comes_after_done_is_not_read():
    assert progress_of(Form().lines([chunk({"content": "a"}), DONE, "no JSON"])).finished


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"data: {}\n\n", "the stream is not OpenAI's: {}"),
        (b"data: not json\n\n", "the stream is not OpenAI's: not json"),
        (b"data: null\n\n", "the stream is not OpenAI's: null"),
        (b"data: 7\n\n", "the stream is not OpenAI's: 7"),
        (b"data: []\n\n", "the stream is not OpenAI's: []"),
        (b'data: {"choices": [7]}\n\n', "the stream is not OpenAI's"),
        (b'data: {"choices": [{"message": {}}]}\n\n', "the stream is not OpenAI's"),
        (b'data: {"usage": {}}\n\n', "the stream is not OpenAI's"),
        (b"data: \xff\n\n", "not UTF-8"),
        (b'{"choices": [{"message": {"content": "a"}}]}\n', "the answer is not a stream of events: {"),
        (b"<html>\n<body>\n", "the answer is not a stream of events: <html>"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "the stream is not OpenAI's: [[["),
        (b"x" * 5000, "the answer is not a stream of events: xxx"),
    ],
)
def test_what_is_no_stream_of_openais_is_shown(stream: bytes, words: str):
    assert words in failure(stream)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_line_or_in_no_token(stream: bytes):
    with suppress(StreamError):
        assert not progress_of(stream).has_token

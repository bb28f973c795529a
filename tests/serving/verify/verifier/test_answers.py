"""What each model is asked, by its task, and what is said of wrong answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.verify.verifier.answers import check_answer
from serving.verify.verifier.failed import Failed
from serving.verify.verifier.settings import Task
from tests.serving.verify.imitations import CHAT, GOOD, UNKNOWN, Reply, gateway, openai_error, stream
from tests.serving.verify.streamed import DONE, ERRORS, ROLE, WRITTEN, Form, chunk, usage

LOOK = "look: kubectl -n inference get pods -l app.kubernetes.io/name=chat"
NEAR_AND_FAR = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]


def said(folder: Path, task: Task, reply: Reply) -> str:
    """What is said of an answer that holds."""
    with gateway(model=reply) as asked:
        return check_answer(asked.client(folder), replace(CHAT, task=task))


def failure(folder: Path, task: Task, reply: Reply) -> str:
    with pytest.raises(Failed) as raised:
        said(folder, task, reply)
    line = str(raised.value)
    assert line.startswith("model chat: ")
    assert "\n" not in line
    return line


def answer(content: object) -> Reply:
    return Reply(200, json.dumps(content).encode())


def vectors(*found: object) -> Reply:
    return answer({"data": [{"index": index, "embedding": vector} for index, vector in enumerate(found)]})


@pytest.mark.parametrize(
    ("task", "reply", "path"),
    [
        ("generate", GOOD, "/v1/chat/completions"),
        ("embed", vectors([0.0, 1.0], [1.0, 0.0]), "/v1/embeddings"),
        ("rerank", answer({"results": NEAR_AND_FAR}), "/v1/rerank"),
    ],
)
def test_each_task_has_its_path(tmp_path: Path, task: Task, reply: Reply, path: str):
    with gateway(model=reply) as asked:
        check_answer(asked.client(tmp_path), replace(CHAT, task=task))
    ((found, body),) = asked.requests
    assert (found, body["model"]) == (path, "chat")
    assert body.get("stream", False) == (task == "generate")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (stream(None), "the stream ended without a token"),
        (stream("a", end=""), "the stream ended without [DONE]"),
        (Reply(200, b"data: {}\n\n"), "the stream is not OpenAI's"),
        (Reply(200, b"data: not json\n\n"), "the stream is not OpenAI's"),
        (Reply(200, b"data: null\n\n"), "the stream is not OpenAI's"),
        (Reply(200, b"data: \xff\n\n"), "the stream is not OpenAI's"),
        (Reply(200, b'data: {"choices": []}\n\n'), "the stream ended without a token"),
        (Reply(200, b""), "the stream ended without a token"),
        (Reply(200, b'{"object": "chat.completion"}'), "the answer is not a stream of events"),
        *(
            (Reply(200, Form().lines([event, DONE])), f"the engine reports an error in the stream: {words}")
            for event, words in ERRORS.values()
        ),
    ],
)
def test_a_wrong_stream(tmp_path: Path, reply: Reply, expected: str):
    line = failure(tmp_path, "generate", reply)
    assert expected in line
    assert line.endswith(LOOK)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_model_that_only_thinks_or_calls_a_tool_answers(tmp_path: Path, written: dict[str, object]):
    events = [chunk(ROLE), *[chunk(written)] * 16, chunk({}, "length"), usage(16), DONE]
    line = said(tmp_path, "generate", Reply(200, Form(newline="\r\n").lines(events)))
    assert line.startswith("model chat: streamed 16 pieces, the first after ")


WITH_TOOLS = replace(CHAT, tool_parser="hermes")


def test_a_model_that_finds_calls_is_asked_with_a_tool_as_well(tmp_path: Path):
    with gateway(model=GOOD) as asked:
        line = check_answer(asked.client(tmp_path), WITH_TOOLS)
    (_, plain), (_, with_tool) = asked.requests
    assert "tools" not in plain
    assert (with_tool["tool_choice"], len(with_tool["tools"])) == ("auto", 1)
    assert line.endswith("; tools accepted")


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_what_it_does_with_the_tool_is_its_own_choice(tmp_path: Path, written: dict[str, object]):
    reply = Reply(200, Form().lines([chunk(ROLE), chunk(written), DONE]))
    with gateway(model=reply) as asked:
        assert check_answer(asked.client(tmp_path), WITH_TOOLS).endswith("; tools accepted")


def test_an_engine_that_refuses_tools_is_named(tmp_path: Path):
    message = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    replies = iter([GOOD, openai_error(400, None, message)])
    with gateway(model=lambda: next(replies)) as asked, pytest.raises(Failed) as raised:
        check_answer(asked.client(tmp_path), WITH_TOOLS)
    assert str(raised.value) == (
        f"model chat: asked with a tool (parser hermes): status 400: {message}; {LOOK}"
    )


def test_a_stream_that_breaks_off(tmp_path: Path):
    body = stream("a", end="").body
    torn = Reply(200, b"%x\r\n%s\r\n9\r\n" % (len(body), body), {"Transfer-Encoding": "chunked"})
    line = failure(tmp_path, "generate", torn)
    assert line.startswith("model chat: the stream broke off after 1 pieces (")
    assert line.endswith(LOOK)


def test_embeddings_of_two_texts(tmp_path: Path):
    reply = vectors([0.0, 1.0], [1.0, 0.0])
    assert said(tmp_path, "embed", reply) == "model chat: embeddings of 2 values"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (vectors([0.0, 1.0], [0.0, 1.0]), "tell nothing apart"),
        (vectors([0.0, 1.0], [1.0]), "tell nothing apart"),
        (vectors([], []), "tell nothing apart"),
        (vectors([float("nan")], [float("nan")]), "tell nothing apart"),
        (vectors([None], [None]), "not OpenAI's list of embeddings"),
        (vectors("AACAPw==", "AAAAAA=="), "not OpenAI's list of embeddings"),
        (vectors([0.0, 1.0]), "not OpenAI's list of embeddings"),
        (answer({"data": 7}), "not OpenAI's list of embeddings"),
        (answer([]), "no JSON object"),
        (Reply(200, b"<html>"), "no JSON object"),
    ],
)
def test_wrong_embeddings(tmp_path: Path, reply: Reply, words: str):
    line = failure(tmp_path, "embed", reply)
    assert words in line
    assert line.endswith(LOOK)


def test_a_ranking(tmp_path: Path):
    reply = answer({"results": NEAR_AND_FAR})
    assert said(tmp_path, "rerank", reply) == "model chat: ranked two documents, 0.900 before 0.100"


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([{"index": 0, "relevance_score": 0.5}, NEAR_AND_FAR[0]], "--chat-template"),
        (NEAR_AND_FAR[:1], "no ranking of two documents"),
        ([{"index": 1}, {"index": 0}], "no ranking of two documents"),
    ],
)
def test_wrong_rankings(tmp_path: Path, results: list[dict[str, Any]], words: str):
    line = failure(tmp_path, "rerank", answer({"results": results}))
    assert words in line
    assert line.endswith(LOOK)


@pytest.mark.parametrize("task", ["generate", "embed", "rerank"])
def test_an_error_is_explained_for_every_task(tmp_path: Path, task: Task):
    assert "the gateway does not route it" in failure(tmp_path, task, UNKNOWN)

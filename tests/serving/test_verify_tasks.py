"""What the verification asks of models that embed or rerank, and what it says of wrong answers."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from serving.verify import verify
from tests.serving.test_verify import CHAT, SERVICE

NEAR_AND_FAR = [
    {"index": 1, "relevance_score": 0.9},
    {"index": 0, "relevance_score": 0.1},
]


class Reply(io.BytesIO):
    """An answer as http.client gives it."""

    status = 200


def asked(monkeypatch: pytest.MonkeyPatch, task: str, answer: object, status: int = 200) -> tuple[str, Any]:
    """What the check of a model with this task says about an answer, and what it asked for."""
    sent: list[Any] = []

    def open_url(gateway: str, service: dict[str, str], path: str, body: bytes, *more: object) -> Reply:
        sent.append((path, json.loads(body)))
        reply = Reply(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        reply.status = status
        return reply

    monkeypatch.setattr(verify, "open_url", open_url)
    model = {**CHAT, "task": task, "asked_as": "chat"}
    try:
        said = verify.check_model("http://gateway", SERVICE, "http://prometheus", model)
    except verify.Failed as failure:
        said = f"failed: {failure}"
    ((path, body),) = sent
    assert body["model"] == "chat"
    return said, path


def vectors(*found: list[float]) -> dict[str, Any]:
    return {"data": [{"index": index, "embedding": vector} for index, vector in enumerate(found)]}


def test_embeddings_of_two_texts(monkeypatch: pytest.MonkeyPatch):
    said, path = asked(monkeypatch, "embed", vectors([0.0, 1.0], [1.0, 0.0]))
    assert (said, path) == ("model chat: embeddings of 2 values", "/v1/embeddings")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (vectors([0.0, 1.0], [0.0, 1.0]), "tell nothing apart"),
        (vectors([0.0, 1.0], [1.0]), "tell nothing apart"),
        (vectors([], []), "tell nothing apart"),
        (vectors([0.0, 1.0]), "not OpenAI's list of embeddings"),
        ({"data": 7}, "not OpenAI's list of embeddings"),
        ([], "no JSON object"),
        (b"<html>", "no JSON object"),
    ],
)
def test_wrong_embeddings(monkeypatch: pytest.MonkeyPatch, answer: object, words: str):
    said, _ = asked(monkeypatch, "embed", answer)
    assert said.startswith("failed: model chat: ")
    assert words in said
    assert "kubectl" in said


def test_a_ranking(monkeypatch: pytest.MonkeyPatch):
    said, path = asked(monkeypatch, "rerank", {"results": NEAR_AND_FAR})
    assert (said, path) == ("model chat: ranked two documents, 0.900 before 0.100", "/v1/rerank")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"results": [{"index": 0, "relevance_score": 0.5}, *NEAR_AND_FAR[:1]]}, "--chat-template"),
        ({"results": NEAR_AND_FAR[:1]}, "no ranking of two documents"),
        ({"results": [{"index": 1}, {"index": 0}]}, "no ranking of two documents"),
    ],
)
def test_wrong_rankings(monkeypatch: pytest.MonkeyPatch, answer: object, words: str):
    said, _ = asked(monkeypatch, "rerank", answer)
    assert said.startswith("failed: model chat: ")
    assert words in said


def test_an_error_is_explained_as_for_other_models(monkeypatch: pytest.MonkeyPatch):
    error = {"error": {"message": "no", "code": "model_not_found"}}
    said, _ = asked(monkeypatch, "rerank", error, status=404)
    assert "the gateway does not route it" in said

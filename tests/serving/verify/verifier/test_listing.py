"""An engine that answers to any name is asked what it serves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from serving.verify.verifier.failed import Failed
from serving.verify.verifier.listing import check_listed
from tests.serving.verify.imitations import CHAT, NOBODY, Reply, gateway, listing, run


def models(*names: str) -> Reply:
    return Reply(200, json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


def test_one_that_lists_the_model_serves_it():
    with listing(models("other", "chat")) as address:
        assert check_listed(CHAT, address) == "listed as chat"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (models("other"), "its engine serves other, not chat; it answers to any name; look"),
        (models(), "its engine serves nothing, not chat"),
        (Reply(200, b"<html>"), "does not say what it serves"),
        (Reply(200, b'{"data": {"id": "chat"}}'), "does not say what it serves"),
        (Reply(200, b"[]"), "does not say what it serves"),
        (Reply(404, b'{"detail": "Not Found"}'), "does not say what it serves"),
        (Reply(200, b"short", {"Content-Length": "100"}), "does not say what it serves"),
    ],
)
def test_one_that_lists_something_else_or_nothing_fails_by_name(reply: Reply, words: str):
    with listing(reply) as address, pytest.raises(Failed, match="model chat: ") as failure:
        check_listed(CHAT, address)
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)


def test_one_that_does_not_answer_fails():
    with pytest.raises(Failed, match=f"model chat: {NOBODY}/v1/models does not say"):
        check_listed(CHAT, f"{NOBODY}/v1/models")


@pytest.mark.parametrize(("served", "code"), [("chat", 0), ("another", 1)])
def test_the_program_asks_only_where_it_is_told_to(served: str, code: int):
    with gateway() as asked, listing(models(served)) as address:
        ended = run(asked.address, [replace(CHAT, listed_at=address)])
    assert ended.code == code
    assert ("listed as chat" in ended.out) is (code == 0)

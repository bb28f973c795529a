"""What an error answer says about the configuration."""

from __future__ import annotations

import time

import pytest

from serving.verify.verifier.error_answers import explain
from serving.verify.verifier.gateway import Answer
from tests.serving.verify.imitations import (
    CHAT,
    TOKEN,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    Reply,
    openai_error,
    token,
)


def explained(reply: Reply, shown: str = TOKEN) -> str:
    return explain(Answer(reply.status, reply.body), CHAT, shown)


def test_no_ready_endpoint_names_service_and_label():
    line = explained(UNAVAILABLE)
    assert line.startswith("no ready endpoint: Service inference/chat selects app.kubernetes.io/name=chat, ")
    assert line.endswith("look: kubectl -n inference get pods -l app.kubernetes.io/name=chat")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (UNKNOWN, "ConfigMap gateway/gateway-config, routes.yaml, has no such model"),
        (openai_error(404, 404), "Deployment inference/chat needs --served-model-name chat"),
        (openai_error(403, "model_not_allowed"), "does not let the token of this Job ask for chat (no)"),
        (openai_error(429, "rate_limit_exceeded"), "the rate limit of the team of this Job's token"),
        (openai_error(500, None, "out of memory"), "status 500: out of memory; look: kubectl"),
        (openai_error(503, "overloaded"), "status 503: no; look: kubectl"),
        (Reply(502, b"<html>bad\ngateway</html>"), "status 502: <html>bad gateway</html>"),
    ],
)
def test_each_error_has_its_line(reply: Reply, expected: str):
    assert expected in explained(reply)


@pytest.mark.parametrize(
    ("shown", "advice"),
    [
        pytest.param(
            TOKEN,
            "its key is none that the gateway has: ConfigMap gateway/gateway-config, authentication.yaml",
            id="foreign",
        ),
        pytest.param(
            token(time.time() - 60),
            "it has expired: this is a new attempt at an old run. `kubectl -n gateway delete",
            id="expired",
        ),
        ("no.jwt", "its key is none that the gateway has"),
        ("", "its key is none that the gateway has"),
    ],
)
def test_a_refused_token_says_why_and_is_not_shown(shown: str, advice: str):
    line = explained(UNAUTHORIZED, shown)
    assert line.startswith("the gateway refuses the token of this Job (no); ")
    assert advice in line
    assert not shown or shown not in line

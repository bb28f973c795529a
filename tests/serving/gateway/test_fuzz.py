"""Nothing that a client can send confuses the gateway: the real Envoy, requests made up by hypothesis.

Whatever arrives at an engine is judged by itself: is this its model as Python's json and orjson read the
body, may the team use it, is the path one of its task? Whatever does not arrive is answered with 4xx in
OpenAI's shape.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from serving.gateway.authentication import Authentication
from serving.gateway.engine_headers import ARRIVING
from serving.gateway.paths import TASK_PATHS
from serving.gateway.served import CanaryRoute, ServedModel
from serving.gateway.tokens import EVERY_MODEL
from sizing.models.task import Task
from tests.serving.gateway.fuzz.exchange import Reply, exchange
from tests.serving.gateway.fuzz.requests import Sent, requests
from tests.serving.gateway.fuzz.tokens import AUDIENCE, REVOKED, Tokens
from tests.serving.gateway.gateway_process import Gateway, running
from tests.serving.gateway.recording_server import Received, Recorder, recording

LIMIT = 1024 * 1024
MODELS = (
    ServedModel(
        "chat",
        "generate",
        aliases=("Org/Chat:latest",),
        adapters=("adapter-1",),
        canary=CanaryRoute("chat-canary", 30),
        fallback="chat-large",
    ),
    ServedModel("chat-large", "generate"),
    ServedModel("embedder", "embed"),
    ServedModel("reranker", "rerank"),
)
UPSTREAMS = ("chat", "chat-canary", "chat-large", "embedder", "reranker")
MEANT = {
    "chat": {"chat", "chat-canary"},
    "Org/Chat:latest": {"chat", "chat-canary"},
    "adapter-1": {"chat", "chat-canary"},
    "chat-large": {"chat-large"},
    "embedder": {"embedder"},
    "reranker": {"reranker"},
}
"""What a client may send as `model`, and the upstreams that it means. None of them ever refuses, so none
needs its fallback."""

RIGHTS = {name: "chat" if name == "Org/Chat:latest" else name for name in MEANT}
"""The right in a token that opens each name."""

TASKS: Mapping[str, Task] = {
    **dict.fromkeys(UPSTREAMS, "generate"),
    "embedder": "embed",
    "reranker": "rerank",
}

TOKENS = Tokens()

EXAMPLES = int(os.environ.get("LLM_PLATFORM_FUZZ_EXAMPLES", "1500"))
"""Half a minute; hypothesis draws new ones on every run."""


@dataclass(frozen=True)
class Platform:
    """gateway: a running Envoy. upstreams: what stands behind it, by model. tokens: or None without."""

    gateway: Gateway
    upstreams: Mapping[str, Recorder]
    tokens: Tokens


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with recording(*UPSTREAMS) as upstreams:
        backends = {name: [recorder.port] for name, recorder in upstreams.items()}
        authentication = Authentication(TOKENS.jwks, AUDIENCE, (REVOKED,))
        folder = tmp_path_factory.mktemp("gateway")
        with running(folder, backends, LIMIT, models=MODELS, authentication=authentication) as gateway:
            yield Platform(gateway, upstreams, TOKENS)


def models_in(body: bytes) -> set[object]:
    """What parsers take for the body's model; those that refuse the body have no say."""
    found: set[object] = set()
    for parse in (json.loads, orjson.loads):
        try:
            document = parse(body)
        except (ValueError, RecursionError):
            continue
        name = document.get("model") if isinstance(document, dict) else None
        found.add(name if isinstance(name, str) else repr(name))
    return found


def judge(platform: Platform, sent: Sent, reply: Reply) -> None:
    arrived = [
        (name, request) for name, upstream in platform.upstreams.items() for request in upstream.requests
    ]
    for upstream in platform.upstreams.values():
        upstream.requests.clear()
    assert reply.status is None or reply.status < 500, (sent, reply)
    assert len(arrived) <= 1, "sent to more than one engine, or twice"
    for name, request in arrived:
        judge_arrived(name, request)
        judge_rights(platform.tokens, sent, request)
    if arrived:
        assert reply.status == 200
    elif reply.status is not None and reply.status >= 400:
        judge_error(sent, reply)


def judge_arrived(upstream: str, request: Received) -> None:
    assert request.method == "POST"
    assert request.path.partition("?")[0] in TASK_PATHS[TASKS[upstream]]
    names = models_in(request.body)
    assert all(upstream in MEANT.get(str(name), ()) for name in names), names
    received = {name for name, _ in request.headers}
    assert received <= ARRIVING


def judge_rights(tokens: Tokens, sent: Sent, request: Received) -> None:
    """Some Authorization header of the request opens what its body names."""
    given = [value for name, value in sent.headers if name == "Authorization"]
    opened = [tokens.rights.get(value, frozenset[str]()) for value in given]
    for name in models_in(request.body):
        right = RIGHTS[str(name)]
        assert any({right, EVERY_MODEL} & rights for rights in opened), (sent, right)


def judge_error(sent: Sent, reply: Reply) -> None:
    if sent.method == "HEAD" or not reply.body:
        return
    error: Any = json.loads(reply.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)


@pytest.mark.traffic
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
@given(sent=requests(TOKENS.authorizations()))
def test_whatever_is_sent(platform: Platform, sent: Sent):
    judge(platform, sent, exchange(platform.gateway.clients, sent))

"""Who may ask what: real tokens and the real Envoy."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.authentication import Authentication
from serving.gateway.jwks import write_jwks
from serving.gateway.served import ServedModel
from serving.gateway.tokens import LATEST_SECOND, MAX_DAYS, claims, mint, new_key, sign
from tests.serving.gateway.engine_server import Engine, serving
from tests.serving.gateway.fuzz.tokens import AUDIENCE, REVOKED, Tokens
from tests.serving.gateway.gateway_process import Gateway, running

LIMIT = 1024 * 1024
CHAT = "/v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "hello"}]
STRANGE = 'o"d\\d/ü]]name'
MODELS = (
    ServedModel("chat", "generate", aliases=("gpt-4o", STRANGE), adapters=("adapter-1",)),
    ServedModel("embedder", "embed"),
    ServedModel("reranker", "rerank"),
)
TOKENS = Tokens()
AUTHENTICATION = Authentication(TOKENS.jwks, AUDIENCE, ("another", REVOKED))


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    backends = {model.name: [engine.port] for model in MODELS}
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, backends, LIMIT, models=MODELS, authentication=AUTHENTICATION) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(engine: Engine) -> None:
    engine.requests.clear()
    engine.proceed.clear()


def ask(gateway: Gateway, header: str | None, model: str = "chat", path: str = CHAT) -> Answer:
    """A request for `model`; without one, a GET."""
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    headers = {"Content-Type": "application/json"}
    if header is not None:
        headers["Authorization"] = header
    try:
        method, body = ("POST", json.dumps({"model": model})) if model else ("GET", None)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
    finally:
        connection.close()


def refused(answer: Answer, status: int, code: str) -> str:
    """The message of an error in OpenAI's shape."""
    assert answer.status == status, answer.content
    error = answer.content["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    return error["message"]


@pytest.mark.parametrize("header", [None, *TOKENS.refused], ids=range(len(TOKENS.refused) + 1))
def test_what_is_no_good_token_opens_nothing(gateway: Gateway, engine: Engine, header: str | None):
    answers = [ask(gateway, header), ask(gateway, header, model="", path="/v1/models")]
    if answers[0].status == 403:
        # A good signature over names that no model has.
        refused(answers[0], 403, "permission_denied")
        assert answers[1] == Answer(200, {"object": "list", "data": []})
    else:
        for answer in answers:
            message = refused(answer, 401, "invalid_api_key")
            assert "make token" in message
            assert header is None or "." not in header or header.partition(" ")[2] not in message
    assert not engine.requests


@pytest.mark.parametrize("header", TOKENS.rights, ids=["all", "one", "two", "adapter"])
@pytest.mark.parametrize(
    ("model", "right"),
    [("chat", "chat"), ("gpt-4o", "chat"), ("adapter-1", "adapter-1"), ("embedder", "embedder")],
)
def test_a_token_opens_its_models_and_no_other(gateway: Gateway, header: str, model: str, right: str):
    path = "/v1/embeddings" if model == "embedder" else CHAT
    answer = ask(gateway, header, model, path)
    if {right, "*"} & TOKENS.rights[header]:
        assert answer.status == 200
    else:
        message = refused(answer, 403, "permission_denied")
        assert f"'{model}'" in message
        assert "/v1/models" in message


@pytest.mark.parametrize("header", TOKENS.rights, ids=["all", "one", "two", "adapter"])
def test_a_token_sees_the_models_that_it_opens(gateway: Gateway, header: str):
    opened = TOKENS.rights[header]
    everything = {
        "chat": "chat",
        "gpt-4o": "chat",
        STRANGE: "chat",
        "adapter-1": "adapter-1",
        "embedder": "embedder",
        "reranker": "reranker",
    }
    listed = ask(gateway, header, model="", path="/v1/models").content
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == [
        name for name, right in everything.items() if {right, "*"} & opened
    ]
    for name, right in everything.items():
        if name != STRANGE:
            answer = ask(gateway, header, model="", path=f"/v1/models/{name}")
            if {right, "*"} & opened:
                assert answer.content in listed["data"]
            else:
                refused(answer, 404, "model_not_found")


SPACES = st.text(" ", min_size=1, max_size=3)
SCHEMES = st.builds(
    lambda upper: "".join(c.upper() if up else c for c, up in zip("bearer", upper, strict=True)),
    st.lists(st.booleans(), min_size=6, max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(scheme=SCHEMES, spaces=SPACES)
def test_the_scheme_is_bearer_in_any_case(gateway: Gateway, scheme: str, spaces: str):
    token = TOKENS.header("*").removeprefix("Bearer ")
    assert ask(gateway, f"{scheme}{spaces}{token}").status == 200


NOT_BEARER = st.one_of(
    st.sampled_from(
        ["", "Basic", "Token", "Bearer x", "foo Bearer", "Bearerx", "xBearer", "Bearer\t", "no-token"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8).filter(
        lambda text: text.lower() != "bearer"
    ),
)


@settings(max_examples=100, deadline=None)
@given(
    before=NOT_BEARER,
    after=st.sampled_from(["", " x", ",x", ";x", '"', " Bearer"]),
    space=st.sampled_from(["", " "]),
)
def test_a_token_after_anything_else_opens_nothing(
    gateway: Gateway, engine: Engine, before: str, after: str, space: str
):
    token = TOKENS.header("*").removeprefix("Bearer ")
    refused(ask(gateway, f"{before}{space}{token}{after}"), 401, "invalid_api_key")
    if after:
        refused(ask(gateway, f"Bearer {token}{after}"), 401, "invalid_api_key")
    assert not engine.requests


BEYOND = st.one_of(
    st.integers(LATEST_SECOND + 1, 2**70),
    st.integers(-(2**70), 0),
    st.floats(min_value=2.0**53, allow_infinity=False),
    st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64, 9.3e18, 1e19, 1.8e19, 1e308]),
)


@settings(max_examples=100, deadline=None)
@given(exp=BEYOND)
def test_no_number_makes_a_token_that_never_ends(gateway: Gateway, exp: float):
    payload = {**claims("search", AUDIENCE, ["*"], (), timedelta(days=1)).payload(), "exp": exp}
    refused(ask(gateway, f"Bearer {sign(TOKENS.key, payload)}"), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("claim", "value", "status"),
    [
        ("sub", "a" * 40, 200),
        ("sub", "a" * 41, 401),
        ("sub", "a" * 5000, 401),
        ("sub", "a\n", 401),
        ("jti", "a" * 8, 200),
        ("jti", "a" * 64, 200),
        ("jti", "a" * 65, 401),
        ("jti", "a" * 3000, 401),
        ("jti", "a" * 7, 401),
    ],
)
def test_what_is_logged_of_a_token_is_bounded(gateway: Gateway, claim: str, value: str, status: int):
    payload = {**claims("search", AUDIENCE, ["*"], (), timedelta(days=1)).payload(), claim: value}
    assert ask(gateway, f"Bearer {sign(TOKENS.key, payload)}").status == status


def test_the_longest_token_opens_from_its_first_second_on(gateway: Gateway):
    longest = mint(TOKENS.key, claims("search", AUDIENCE, ["*"], (), timedelta(days=MAX_DAYS)))
    assert ask(gateway, f"Bearer {longest}").status == 200


def test_the_official_client_understands_both_refusals(gateway: Gateway):
    token = TOKENS.header("adapter-1").removeprefix("Bearer ")
    url = f"http://{gateway.clients}/v1"
    with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["adapter-1"]
        with pytest.raises(openai.PermissionDeniedError, match="'chat'"):
            client.chat.completions.create(model="chat", messages=HELLO)
    with (
        openai.OpenAI(base_url=url, api_key="sk-nothing", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="make token"),
    ):
        client.chat.completions.create(model="chat", messages=HELLO)


def test_a_token_in_the_query_is_not_looked_at(gateway: Gateway):
    token = TOKENS.header("*").removeprefix("Bearer ")
    refused(ask(gateway, None, path=f"{CHAT}?access_token={token}"), 401, "invalid_api_key")


@pytest.mark.traffic
def test_keys_and_revocations_change_without_a_cut_stream_or_a_refused_request(tmp_path: Path):
    old, new = new_key(), new_key()
    headers = {
        key.kid: f"Bearer {mint(key, claims('search', 'test', ['*'], (), timedelta(days=1)))}"
        for key in (old, new)
    }
    both = claims("search", "test", ["*"], (), timedelta(days=1))
    leaked = f"Bearer {mint(new, both)}"
    first = Authentication(write_jwks([old.public]), "test")
    with (
        serving() as engine,
        running(tmp_path, {"chat": [engine.port]}, LIMIT, drain_seconds=1, authentication=first) as gateway,
    ):
        stream = http.client.HTTPConnection(gateway.clients, timeout=20)
        body = json.dumps({"model": "chat", "stream": True})
        stream.request(
            "POST", CHAT, body, {"Content-Type": "application/json", "Authorization": headers[old.kid]}
        )
        response = stream.getresponse()
        assert response.readline() == b"data: first\n"
        kept = http.client.HTTPConnection(gateway.clients, timeout=20)

        def change(authentication: Authentication, header: str, status: int, good: str) -> None:
            """The change is there once `header` gets `status`; all the time `good` is answered."""
            gateway.rewrite({"chat": [engine.port]}, LIMIT, authentication=authentication)
            deadline = time.monotonic() + 10
            while ask(gateway, header).status != status:
                assert time.monotonic() < deadline
                kept.request(
                    "POST",
                    CHAT,
                    '{"model": "chat"}',
                    {"Content-Type": "application/json", "Authorization": good},
                )
                reply = kept.getresponse()
                assert (reply.status, reply.getheader("connection")) == (200, None), reply.read()
                reply.read()

        refused(ask(gateway, headers[new.kid]), 401, "invalid_api_key")
        two = Authentication(write_jwks([old.public, new.public]), "test")
        change(two, headers[new.kid], 200, good=headers[old.kid])
        change(replace(two, revoked=(both.token_id,)), leaked, 401, good=headers[old.kid])
        one = Authentication(write_jwks([new.public]), "test", (both.token_id,))
        change(one, headers[old.kid], 401, good=headers[new.kid])
        assert "revoked" in refused(ask(gateway, leaked), 401, "invalid_api_key")

        # Longer than a drain would leave it.
        time.sleep(2)
        engine.proceed.set()
        assert b"[DONE]" in response.read()
        stream.close()
        kept.close()

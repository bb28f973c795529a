"""Every model that is listed can be asked for by its name, and no spelling of a path leads anywhere else."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.authentication import Authentication
from serving.gateway.paths import all_paths
from serving.gateway.served import ServedModel
from tests.serving.gateway.fuzz.exchange import exchange
from tests.serving.gateway.fuzz.requests import Sent
from tests.serving.gateway.fuzz.tokens import AUDIENCE, Tokens
from tests.serving.gateway.gateway_process import Gateway, running
from tests.serving.gateway.recording_server import Recorder, recording

TOKENS = Tokens()
ALIASES = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "qwen3:8b",
    "org/model:latest",
    "v1/models",
    "a.b/c..d",
    "a//b",
    "a/./b",
    "a/../b",
    "A-_.:/z",
    "models/chat/completions",
    "x" * 96,
)
NAMES = ("chat", *ALIASES, "org/adapter")
MODELS = (
    ServedModel(
        "chat",
        "generate",
        aliases=ALIASES,
        adapters=("org/adapter",),
        max_model_len=4096,
        root="Qwen/Qwen3-8B",
        adapter_roots={"org/adapter": "someone/lora"},
    ),
)


@pytest.fixture(scope="module")
def engines() -> Iterator[Recorder]:
    with recording("chat") as recorders:
        yield recorders["chat"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engines: Recorder) -> Iterator[Gateway]:
    authentication = Authentication(TOKENS.jwks, AUDIENCE)
    folder = tmp_path_factory.mktemp("gateway")
    backends = {"chat": [engines.port]}
    with running(folder, backends, 1 << 20, models=MODELS, authentication=authentication) as started:
        yield started


def client(gateway: Gateway, right: str) -> openai.OpenAI:
    token = TOKENS.header(right).removeprefix("Bearer ")
    return openai.OpenAI(base_url=f"http://{gateway.clients}/v1", api_key=token, max_retries=0)


def get(gateway: Gateway, path: str, right: str = "*") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(gateway.clients, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": TOKENS.header(right)})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_official_client_retrieves_whatever_it_lists(gateway: Gateway):
    with client(gateway, "*") as everything:
        listed = list(everything.models.list())
        assert [model.id for model in listed] == list(NAMES)
        for model in listed:
            assert everything.models.retrieve(model.id) == model


def test_the_list_says_what_clients_size_their_context_by(gateway: Gateway):
    _, listed = get(gateway, "/v1/models")
    cards = {card["id"]: card for card in listed["data"]}
    assert {card["max_model_len"] for card in cards.values()} == {4096}
    assert {cards[name]["root"] for name in ("chat", *ALIASES)} == {"Qwen/Qwen3-8B"}
    assert (cards["org/adapter"]["root"], cards["org/adapter"]["parent"]) == ("someone/lora", "chat")


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_any_character_of_a_name_may_be_escaped(gateway: Gateway, name: str, data: st.DataObject):
    """Slashes and dots are: between slashes, dots and empty parts mean something to a path."""
    escaped = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    lower = data.draw(st.booleans())
    path = "".join(
        f"%{ord(c):02{'x' if lower else 'X'}}" if escape or c in "/." else c
        for c, escape in zip(name, escaped, strict=True)
    )
    if path.lower().replace("%2e", ".").strip(".") == "":
        return
    query = data.draw(st.sampled_from(["", "?x=1", "?/v1/models/none"]))
    status, card = get(gateway, f"/v1/models/{path}{query}")
    assert (status, card["id"]) == (200, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "none",
        "cha",
        "chat/",
        "chat%2f",
        "chat%252f",
        "chat%3Fx",
        "qwen3%253a8b",
        "CHAT",
        "%zz",
        "%",
        "chat%20",
    ],
)
def test_another_name_is_no_model(gateway: Gateway, name: str):
    status, answer = get(gateway, f"/v1/models/{name}")
    assert status == 404
    assert (answer["error"]["code"], answer["error"]["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize("name", NAMES)
def test_a_token_retrieves_its_models_only(gateway: Gateway, name: str):
    path = f"/v1/models/{quote(name, safe='')}"
    status, answer = get(gateway, path, "adapter-1")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert get(gateway, path, "chat")[0] == (404 if name == "org/adapter" else 200)


TRICKS = (
    "/v1%2fchat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat/completions%2f..%2f..%2f..%2fmetrics",
    "/v1/chat/completions/..%2f..%2f..%2fmetrics",
    "/v1/chat/completions/%2e%2e/%2e%2e/%2e%2e/metrics",
    "/v1/chat/completions/%252e%252e/metrics",
    "/v1/chat/completions%5c..%5cmetrics",
    "/v1/chat/completions\\..\\..\\..\\metrics",
    "/v1/chat/completions;/../../../metrics",
    "/v1/chat/completions%3f/metrics",
    "/v1/chat/completions%23",
    "/v1/chat/completions%0d%0aX: y",
    "/v1/chat/completions%20",
    "/v1/chat/completions.",
    "/v1/chat/completions/",
    "/V1/chat/completions",
    "/v1/%63hat/completions",
    "/v1/models/..%2f..%2fmetrics",
    "/v1/models/%2e%2e/%2e%2e/metrics",
    "/v1/models/../../metrics",
    "/v1/models/chat%2f..%2fchat%2fcompletions",
    "/v1/models/..%2fchat%2fcompletions",
    "/v1/./chat/completions",
    "/v1/x/../chat/completions",
    "//v1//chat//completions",
    "/v1\\chat/completions",
    "/%2e/v1/chat/completions",
    "/metrics",
    "/%6detrics",
    "%2fmetrics",
    "/v1/load_lora_adapter",
    "/v1%2Fload_lora_adapter",
    "/tokenize?/v1/chat/completions",
    "http://x/v1/chat/completions",
    "http://x/metrics",
    "//x/../metrics",
    "/.%2e/metrics",
    "/v1/chat/completions/..;/metrics",
    "/v1/chat/completions%c0%af..%c0%afmetrics",
    "/v1/chat/completions%e2%88%95..",
)
"""Ways to write a path; some are another spelling of one on the list."""


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("path", TRICKS)
def test_only_paths_on_the_list_arrive_at_an_engine(
    gateway: Gateway, engines: Recorder, method: str, path: str
):
    headers = (("Content-Type", "application/json"), ("Authorization", TOKENS.header("*")))
    engines.requests.clear()
    reply = exchange(gateway.clients, Sent(method, path, headers, b'{"model":"chat"}', chunked=False))
    for request in engines.requests:
        assert request.method == "POST"
        assert request.path.partition("?")[0] in all_paths()
    assert reply.status in ((200,) if engines.requests else (200, 400, 404, 405))

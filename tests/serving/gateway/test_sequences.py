"""A request that no replica could ever take is told so, with what to do; it is not told to try again."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.served import ServedModel
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, running
from tests.serving.gateway.recording_server import Recorder, recording

BOUND = 46
MODELS = (
    ServedModel("chat", "generate", aliases=("alias",), adapters=("adapter",), most_sequences=BOUND),
    ServedModel("embedder", "embed", most_sequences=BOUND),
    ServedModel("reranker", "rerank", most_sequences=BOUND),
    # Two letters that are booleans to Envoy's parser of YAML unless they are quoted.
    ServedModel("free", "generate", aliases=("y", "N")),
)
PATHS = {
    "chat": "/v1/completions",
    "alias": "/v1/chat/completions",
    "adapter": "/v1/completions",
    "free": "/v1/completions",
    "embedder": "/v1/embeddings",
    "reranker": "/v1/rerank",
}


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Recorder]]:
    with recording(*(model.name for model in MODELS)) as recorders:
        yield recorders


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, Recorder]) -> Iterator[Gateway]:
    backends = {name: [recorder.port] for name, recorder in engines.items()}
    with running(tmp_path_factory.mktemp("gateway"), backends, 1 << 20, models=MODELS) as started:
        yield started


def post(gateway: Gateway, path: str, body: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(gateway.clients, timeout=10)
    try:
        connection.request("POST", path, body.encode(), JSON)
        response = connection.getresponse()
        assert response.getheader("retry-after") is None
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def refused(answer: tuple[int, Any], asked: int) -> None:
    status, content = answer
    assert status == 400, content
    assert (content["error"]["code"], content["error"]["param"]) == ("too_many_sequences", "n")
    assert f"asks for {asked} sequences" in content["error"]["message"]
    assert str(BOUND) in content["error"]["message"]


LISTS: dict[str, list[object]] = {
    "prompt": ["x", '"]', "[", [1, 2, 3], [], "\\\\"],
    "input": ["x", [1], ",,,", {"a": [1, 2]}],
    "documents": ["x", {"text": "a", "n": [1, 2]}, ["a", "b"]],
}


@pytest.mark.parametrize(
    ("name", "fields", "asked"),
    [
        ("chat", {"n": 46}, 46),
        ("chat", {"n": 47}, 47),
        ("chat", {"prompt": ["x"] * 46}, 46),
        ("chat", {"prompt": ["x"] * 47}, 47),
        ("chat", {"prompt": ["x"] * 3, "n": 15}, 45),
        ("chat", {"prompt": ["x"] * 3, "n": 16}, 48),
        ("chat", {"n": 16, "prompt": ["x"] * 3}, 48),
        ("chat", {"prompt": [[1, 2]] * 47}, 47),
        ("chat", {"prompt": list(range(1000))}, 1),
        ("chat", {"prompt": [-1] * 1000, "n": 47}, 47),
        ("chat", {"prompt": [], "n": 2}, 2),
        ("chat", {"prompt": "x", "n": None}, 1),
        ("chat", {"prompt": "x", "n": "100"}, 1),
        ("chat", {"prompt": "x", "n": [100]}, 1),
        ("chat", {"prompt": "x", "n": -100}, 1),
        ("chat", {"prompt": "x", "n": 1e300}, 2**53),
        ("chat", {"prompt": "x", "x": {"n": 100, "prompt": ["x"] * 100}}, 1),
        ("chat", {"messages": ["x"] * 100, "stop": ["x"] * 100}, 1),
        ("alias", {"n": 47}, 47),
        ("adapter", {"n": 47}, 47),
        ("embedder", {"input": ["x"] * 46}, 46),
        ("embedder", {"input": ["x"] * 47}, 47),
        ("embedder", {"input": [1] * 500}, 1),
        ("reranker", {"query": "x", "documents": ["x"] * 47}, 47),
        ("reranker", {"query": "x", "documents": [{"text": "x, y"}] * 46}, 46),
    ],
)
def test_what_no_replica_could_take_is_refused(
    gateway: Gateway, engines: dict[str, Recorder], name: str, fields: dict[str, Any], asked: int
):
    for recorder in engines.values():
        recorder.requests.clear()
    answer = post(gateway, PATHS[name], json.dumps({"model": name, **fields}))
    if asked <= BOUND:
        assert answer[0] == 200
    else:
        if asked != 2**53:
            refused(answer, asked)
        assert answer[0] == 400
        assert not any(recorder.requests for recorder in engines.values())


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n=st.integers(1, 30), indent=st.sampled_from([None, 1]))
def test_any_list_is_counted(gateway: Gateway, data: st.DataObject, n: int, indent: int | None):
    key, name = data.draw(
        st.sampled_from([("prompt", "chat"), ("input", "embedder"), ("documents", "reranker")])
    )
    items = data.draw(st.lists(st.sampled_from(LISTS[key]), max_size=60))
    fields = list({"model": name, "n": n, key: items, "x": ["y"] * 5}.items())
    body = dict(data.draw(st.permutations(fields)))
    answer = post(gateway, PATHS[name], json.dumps(body, indent=indent))
    asked = n * max(1, len(items))
    if asked > BOUND:
        refused(answer, asked)
    else:
        assert answer[0] == 200


@pytest.mark.parametrize("name", ["y", "N"])
def test_a_name_that_yaml_may_take_for_a_boolean_is_a_name(gateway: Gateway, name: str):
    assert post(gateway, PATHS["free"], json.dumps({"model": name}))[0] == 200


def test_a_model_without_a_bound_leaves_it_to_the_engine(gateway: Gateway):
    assert post(gateway, PATHS["free"], json.dumps({"model": "free", "n": 1000}))[0] == 200


def test_the_official_client_does_not_try_again(gateway: Gateway, engines: dict[str, Recorder]):
    engines["chat"].requests.clear()
    token = AUTHORIZATION["Authorization"].removeprefix("Bearer ")
    with (
        openai.OpenAI(base_url=f"http://{gateway.clients}/v1", api_key=token) as client,
        pytest.raises(openai.BadRequestError, match="46, running and queued"),
    ):
        client.completions.create(model="chat", prompt="x", n=47)
    assert not engines["chat"].requests

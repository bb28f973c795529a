"""Embeddings and scores: the answers, what they count, and what is refused as vLLM refuses it."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from local.engine.embeddings import embedding, relevance
from local.engine.flags import parse
from local.engine.pooling_settings import pooling_settings
from local.engine.refusal import Refused
from local.engine.tokens import text_prompt
from sizing.models.models import model
from tests.local.engine.asking import Ask, with_server

EMBED = "Qwen/Qwen3-Embedding-0.6B"
RERANK = "Qwen/Qwen3-Reranker-0.6B"
SHORTER = json.dumps({"is_matryoshka": True})
CLASSIFIER = json.dumps(
    {"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"]}
)
TEMPLATE = "0123 {{ query }} 4567{{ document }}"
"""Twelve bytes of its own and the two texts: four tokens with the space that is left of the first."""


def embeddings(ask: Ask, *flags: str, step_ms: float = 1.0) -> CollectorRegistry:
    return with_server(ask, "--hf-overrides", SHORTER, *flags, model=EMBED, step_ms=step_ms)


def rerankings(ask: Ask, *flags: str) -> CollectorRegistry:
    return with_server(ask, "--hf-overrides", CLASSIFIER, "--chat-template", TEMPLATE, *flags, model=RERANK)


def length(vector: list[float]) -> float:
    return math.sqrt(sum(value * value for value in vector))


def test_embeddings_have_the_models_width_and_length_one():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/embeddings", json={"model": "chat", "input": ["one text", "another"]})
        body = answer.json()
        assert answer.status_code == 200
        assert (body["object"], body["model"]) == ("list", "chat")
        assert [each["index"] for each in body["data"]] == [0, 1]
        for each in body["data"]:
            assert len(each["embedding"]) == 1024
            assert length(each["embedding"]) == pytest.approx(1, abs=1e-5)
        # Two tokens each, and the one that ends a text.
        assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] == 6
        assert body["usage"]["completion_tokens"] == 0

    embeddings(ask)


def test_base64_is_the_same_vector_as_the_list():
    async def ask(client: httpx.AsyncClient) -> None:
        fields = {"input": "some text", "dimensions": 32}
        listed = (await client.post("/v1/embeddings", json=fields)).json()["data"][0]["embedding"]
        assert length(listed) == pytest.approx(1, abs=1e-5)
        for endianness, order in (("native", "<"), ("big", ">")):
            coded = await client.post(
                "/v1/embeddings", json={**fields, "encoding_format": "base64", "endianness": endianness}
            )
            data = base64.b64decode(coded.json()["data"][0]["embedding"])
            assert list(struct.unpack(f"{order}32f", data)) == listed

    embeddings(ask)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"dimensions": 0}, 400, "only supports dimensions in range [1, 1024], got 0."),
        ({"dimensions": 1025}, 400, "only supports dimensions in range [1, 1024], got 1025."),
        ({"input": []}, 400, "You must pass at least one prompt"),
        ({"input": None}, 400, "input"),
        ({"input": 7}, 400, "body.input"),
        ({"input": [1, 151669]}, 400, "Token id 151669 is out of vocabulary"),
        ({"input": "x" * 9000}, 400, "maximum context length is 2048 tokens"),
        ({"encoding_format": "hex"}, 400, "encoding_format"),
        ({"encoding_format": "bytes"}, 400, "does not support encoding_format"),
        ({"truncate_prompt_tokens": 4096}, 400, "greater than max_model_len"),
        ({"model": "other"}, 404, "The model `other` does not exist."),
    ],
)
def test_requests_that_vllm_refuses(fields: dict[str, Any], status: int, words: str):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/embeddings", json={"input": "x", **fields})
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]

    embeddings(ask)


def test_a_model_without_shorter_embeddings_refuses_dimensions():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/embeddings", json={"input": "x", "dimensions": 32})
        assert answer.status_code == 400
        assert "does not support Matryoshka embeddings" in answer.json()["error"]["message"]

    with_server(ask, model=EMBED)


def test_a_text_is_cut_where_the_caller_says():
    async def ask(client: httpx.AsyncClient) -> None:
        fields = {"input": "x" * 9000, "truncate_prompt_tokens": -1}
        answer = await client.post("/v1/embeddings", json=fields)
        assert answer.json()["usage"]["prompt_tokens"] == 2048

    embeddings(ask)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_come_back_by_relevance(path: str):
    async def ask(client: httpx.AsyncClient) -> None:
        documents = ["bread and butter", "the capital of France is Paris", "France"]
        fields = {"model": "chat", "query": "capital of France", "documents": documents}
        body = (await client.post(path, json=fields)).json()
        assert [each["index"] for each in body["results"]] == [1, 2, 0]
        scores = [each["relevance_score"] for each in body["results"]]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score < 1 for score in scores)
        assert body["results"][0]["document"] == {"text": documents[1], "multi_modal": None}
        best = (await client.post(path, json={**fields, "top_n": 1})).json()
        assert [each["index"] for each in best["results"]] == [1]

    rerankings(ask)


def test_each_pair_is_read_with_the_template():
    async def ask(client: httpx.AsyncClient) -> None:
        fields = {"query": "12345678", "documents": ["1234", "12345678"]}
        usage = (await client.post("/rerank", json=fields)).json()["usage"]
        assert usage["prompt_tokens"] == usage["total_tokens"] == (3 + 2 + 1) + (3 + 2 + 2)

    rerankings(ask)


def test_scores_take_one_to_one_one_to_many_and_many_to_many():
    async def ask(client: httpx.AsyncClient) -> None:
        for fields, count in (
            ({"queries": "a", "documents": "a"}, 1),
            ({"text_1": "a", "text_2": ["a", "b"]}, 2),
            ({"data_1": ["a", "b"], "data_2": ["a", "b"]}, 2),
        ):
            body = (await client.post("/v1/score", json=fields)).json()
            assert [each["index"] for each in body["data"]] == list(range(count))
        wrong = await client.post("/score", json={"queries": ["a", "b"], "documents": ["a", "b", "c"]})
        assert wrong.status_code == 400
        assert wrong.json()["error"]["message"] == "Input lengths must be either 1:1, 1:N or N:N"

    rerankings(ask)


def test_an_embedding_engine_scores_by_comparing_embeddings():
    async def ask(client: httpx.AsyncClient) -> None:
        fields = {"queries": "red car", "documents": ["red car", "green tree"]}
        body = (await client.post("/score", json=fields)).json()
        same, other = (each["score"] for each in body["data"])
        assert same == pytest.approx(1, abs=1e-4)
        assert abs(other) < 0.3
        # The query is read once: 2 tokens, then 2 and 3.
        assert body["usage"]["prompt_tokens"] == 2 + 2 + 3

    embeddings(ask)


def test_an_engine_has_the_paths_of_its_task_only():
    async def ask_embed(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/chat/completions", json={})).status_code == 404

    async def ask_rerank(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/embeddings", json={})).status_code == 404

    async def ask_generate(client: httpx.AsyncClient) -> None:
        for path in ("/v1/embeddings", "/rerank", "/score"):
            assert (await client.post(path, json={})).status_code == 404

    embeddings(ask_embed)
    rerankings(ask_rerank)
    with_server(ask_generate)


def test_metrics_are_those_of_a_request_without_tokens():
    async def ask(client: httpx.AsyncClient) -> None:
        await client.post("/v1/embeddings", json={"input": ["x" * 16, "y" * 16, "z" * 16]})

    registry = embeddings(ask)

    def value(name: str, **more: str) -> float | None:
        return registry.get_sample_value(f"vllm:{name}", {"model_name": "chat", "engine": "0", **more})

    assert value("request_success_total", finished_reason="stop") == 3
    assert value("prompt_tokens_total") == 15
    assert value("generation_tokens_total") == 0
    assert value("time_to_first_token_seconds_count") == 3
    assert value("e2e_request_latency_seconds_count") == 3
    assert value("inter_token_latency_seconds_count") == 0
    assert value("request_params_max_tokens_count") == 0
    assert value("request_params_n_sum") == 3
    assert value("iteration_tokens_total_sum") == 15


def test_inputs_that_do_not_fit_one_step_take_several():
    async def ask(client: httpx.AsyncClient) -> None:
        began = asyncio.get_running_loop().time()
        await client.post("/v1/embeddings", json={"input": [letter * 4096 for letter in "abcdef"]})
        took = asyncio.get_running_loop().time() - began
        assert took >= 3 * 0.05  # 1,025 tokens each, two of them in a step of 2,048 at most

    embeddings(ask, "--max-num-batched-tokens", "2048", step_ms=50)


def test_each_input_takes_a_place_in_the_queue():
    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/embeddings", json={"input": ["x"] * 4})).status_code == 200
        refused = await client.post("/v1/embeddings", json={"input": ["x"] * 5})
        assert refused.status_code == 503

    embeddings(ask, "--max-num-queued-reqs", "4")


def test_similar_texts_have_similar_vectors():
    def cosine(one: str, other: str) -> float:
        first, second = (embedding(text_prompt(text), 1024, 1024, normalised=True) for text in (one, other))
        return sum(a * b for a, b in zip(first, second, strict=True))

    assert cosine("a red car", "a red car") == pytest.approx(1, abs=1e-5)
    assert cosine("a red car", "a red bus") > cosine("a red car", "green trees grow")
    assert list(embedding(text_prompt(""), 64, 8, normalised=True)) != [0.0] * 8


def test_a_text_is_its_words_wherever_they_stand():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/embeddings", json={"input": ["a red car", "car a red"]})
        first, second = (each["embedding"] for each in answer.json()["data"])
        assert first == second

    embeddings(ask)


def test_relevance_grows_with_shared_words_and_has_no_ties():
    query = text_prompt("red car")
    none, some, every = (relevance(query, text_prompt(text)) for text in ("tree", "a car", "a red car"))
    assert 0 < none < some < every < 1
    assert relevance(query, text_prompt("tree")) != relevance(query, text_prompt("bush"))


@pytest.mark.parametrize(
    ("name", "flags", "task"),
    [
        (EMBED, [], "embed"),
        (EMBED, ["--runner", "pooling", "--convert", "embed"], "embed"),
        ("Qwen/Qwen3-8B", [], None),
        ("Qwen/Qwen3-8B", ["--runner", "pooling"], "embed"),
        (RERANK, [], None),
        (RERANK, ["--runner", "generate"], None),
        (RERANK, ["--hf-overrides", CLASSIFIER], "classify"),
        (RERANK, ["--convert", "classify", "--hf-overrides", CLASSIFIER], "classify"),
    ],
)
def test_the_task_follows_from_runner_convert_and_architecture(name: str, flags: list[str], task: str | None):
    found = pooling_settings(parse([name, *flags]), model(name))
    assert (None if found is None else found.task) == task


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--runner", "draft"], "draft"),
        (["--runner", "generate", "--convert", "embed"], "--runner generate"),
        (["--runner", "pooling", "--convert", "none"], "--convert <embed|classify>"),
        (["--convert", "classify"], "classifier_from_token"),
        (["--hf-overrides", "{"], "not JSON"),
        (["--hf-overrides", "[]"], "takes a JSON object"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags: list[str], words: str):
    with pytest.raises(Refused, match=words.replace("|", "[|]")):
        pooling_settings(parse([RERANK, *flags]), model(RERANK))

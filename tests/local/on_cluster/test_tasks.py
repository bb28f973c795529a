"""Every task, and every name of a model, through the gateway: with the client that users have.

After a real update, which ends with the verify Job: it has asked each model for what its task is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from openai import BadRequestError, OpenAI, PermissionDeniedError
from openai.types.chat import ChatCompletionUserMessageParam

from serving.gateway.tokens import claims, mint
from serving.scaling import external_metric
from serving.signals import WORK, series
from stacks.load import from_file
from tests.local.on_cluster.deployment import eventually
from tests.local.on_cluster.environment import chat_alone
from tests.local.on_cluster.platform import STACK, Platform, updated

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.toolchain.obtain import Toolchain

pytestmark = pytest.mark.cluster

REVISION = "0123456789abcdef0123456789abcdef01234567"
ALIAS, ADAPTER = "gpt-4o-mini", "chat-sql"
HELLO: ChatCompletionUserMessageParam = {"role": "user", "content": "Say hello."}


def pooling(name: str, task: str, model: str) -> dict[str, Any]:
    """Section of a stack file for a small model that generates nothing."""
    return {
        "name": name,
        "engine": "vllm",
        "model": model,
        "revision": REVISION,
        "task": task,
        "node_pool": "l4",
        "max_model_len": 8192,
        "max_queued_requests": 512,
        "drain_seconds": 10,
        "replicas": {"min": 1, "max": 2},
        "slo": {"ttft": {"seconds": 1, "objective": 0.99}, "availability": 0.999},
        "expected_load": {"requests_per_second": 1, "prompt_tokens": 400},
    }


@pytest.fixture(scope="module")
def platform(cluster: Cluster, toolchain: Toolchain) -> Iterator[Platform]:
    values = chat_alone()
    chat = values["models"][0]
    chat["aliases"] = [ALIAS]
    chat["adapters"] = [
        {"name": ADAPTER, "source": "example/chat-sql-lora", "revision": REVISION, "rank": 16}
    ]
    values["models"] += [
        pooling("embedder", "embed", "Qwen/Qwen3-Embedding-0.6B"),
        pooling("reranker", "rerank", "Qwen/Qwen3-Reranker-0.6B"),
    ]
    with updated(cluster, toolchain, "tasks", values) as found:
        yield found


def token_for(model: str) -> str:
    """A token that opens one model."""
    from local.token import FILES

    key = FILES.signing_key()
    assert key is not None
    return mint(key, claims("searchers", STACK, [model], (model,), timedelta(hours=1)))


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[OpenAI]:
    from local.token import token

    with OpenAI(base_url=f"{platform.gateway()}/v1", api_key=token(), max_retries=0) as found:
        yield found


@pytest.mark.parametrize("name", ["chat", ALIAS, ADAPTER])
def test_a_model_answers_to_its_name_an_alias_and_an_adapter(client: OpenAI, name: str):
    answer = client.chat.completions.with_raw_response.create(model=name, messages=[HELLO], max_tokens=3)
    assert answer.headers["x-llm-platform-model"] == "chat"
    completion = answer.parse()
    assert completion.model == name
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3


def test_embeddings_are_as_long_as_asked_for(client: OpenAI):
    texts = ["bread and butter", "butter and bread", "capital of France"]
    for dimensions in (1024, 256):
        answer = client.embeddings.create(model="embedder", input=texts, dimensions=dimensions)
        vectors = [row.embedding for row in answer.data]
        assert [len(vector) for vector in vectors] == [dimensions] * len(texts)
        near, far = (sum(map(float.__mul__, vectors[0], other)) for other in vectors[1:])
        assert near == pytest.approx(1, abs=1e-4)
        assert far < 0.5
        assert answer.usage.prompt_tokens > len(texts)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_documents_are_ranked(platform: Platform, path: str):
    from local.token import authorization

    documents = ["Bread goes with butter.", "Rome was not built in a day.", "The capital of France is Paris."]
    body = {"model": "reranker", "query": "capital of France", "documents": documents, "top_n": 2}
    answer = httpx.post(f"{platform.gateway()}{path}", json=body, headers=authorization(), trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-llm-platform-model"] == "reranker"
    best, second = answer.json()["results"]
    assert (best["index"], best["document"]["text"]) == (2, documents[2])
    assert 1 > best["relevance_score"] > second["relevance_score"] > 0


def test_what_a_model_does_not_do_is_refused_in_openais_shape(client: OpenAI):
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="embedder", messages=[HELLO])
    error = refused.value
    assert (error.code, error.param, error.type) == ("wrong_path", "model", "invalid_request_error")
    assert "/v1/embeddings" in error.message


def test_a_token_opens_its_model_and_no_other(client: OpenAI):
    restricted = client.with_options(api_key=token_for("embedder"))
    assert [model.id for model in restricted.models.list()] == ["embedder"]
    assert restricted.embeddings.create(model="embedder", input="hello").data
    for name in ("chat", ALIAS, ADAPTER):
        with pytest.raises(PermissionDeniedError):
            restricted.chat.completions.create(model=name, messages=[HELLO])


def test_the_verification_has_asked_for_every_task(platform: Platform):
    (job,) = platform.items("jobs", "-n", "gateway", "-l", "app.kubernetes.io/name=verify")
    assert job["status"]["succeeded"] == 1
    log = platform.cluster.kubectl("logs", f"job/{job['metadata']['name']}", "-n", "gateway")
    for line in (
        "model chat: streamed",
        "model embedder: embeddings of 1024 values",
        "model reranker: ranked two documents",
    ):
        assert line in log


@pytest.mark.parametrize("model", ["embedder", "reranker"])
def test_a_load_run_counts_every_answer_and_is_seen_as_work(platform: Platform, model: str):
    from local.load.report import report
    from local.load.run import execute
    from local.load.scenario import Phase, load_scenario
    from local.load.target import find_target

    scenario = load_scenario("embeddings").model_copy(
        update={
            "model": model,
            "inputs": 3,
            "phases": (Phase(name="only", seconds=3, requests_per_second=5),),
        }
    )
    target = find_target(from_file(STACK, platform.configuration.parent), model)
    found = report(asyncio.run(execute(scenario, target, lambda run: None)))
    assert found.failures == {}
    assert found.requests > 5
    assert found.ttft.p50 is not None
    # Nothing runs or waits by now: the work rule sees what was computed.
    eventually(lambda: platform.query(f"{series(WORK, model)} > 0"), f"work of {model}")


@pytest.mark.parametrize("model", ["embedder", "reranker"])
def test_every_trigger_of_a_model_that_generates_nothing_has_a_value(platform: Platform, model: str):
    assert platform.trigger_values(model).keys() == {external_metric(index) for index in range(4)}

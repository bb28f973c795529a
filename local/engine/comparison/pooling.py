"""The comparison for engines that embed or rerank: one more pair of servers for each, and what they are sent.

Only answers are compared; metric families are those of any engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from local.engine.comparison.environment import VLLM_VERSION
from local.engine.comparison.exchanges import HI, Exchange, Shape, send
from local.engine.comparison.servers import SERVED_NAME, RunningServer

OBSERVED = Path(__file__).parent / "observed_pooling.json"
SOURCE = (
    f"vllm {VLLM_VERSION}, tiny random Llama on a CPU, by `python -m local.engine.comparison --write-facts`"
)

EMBEDDINGS = "/v1/embeddings"


def _embed(**fields: object) -> dict[str, object]:
    return {"model": SERVED_NAME, **fields}


SCORES = (
    Exchange("rerank", "/rerank", _embed(query="a", documents=["a", "bb"])),
    Exchange("rerank v1", "/v1/rerank", _embed(query="a", documents=["a", "bb"])),
    Exchange("rerank v2", "/v2/rerank", _embed(query="a", documents=["a", "bb"])),
    Exchange("rerank one document", "/rerank", _embed(query="a", documents="a")),
    Exchange("rerank the best", "/rerank", _embed(query="a", documents=["a", "b"], top_n=1)),
    Exchange("rerank top_n negative", "/rerank", _embed(query="a", documents=["a"], top_n=-1)),
    Exchange("rerank no documents", "/rerank", _embed(query="a", documents=[])),
    Exchange("rerank query missing", "/rerank", _embed(documents=["a"])),
    Exchange("rerank unknown model", "/rerank", {"model": "nope", "query": "a", "documents": ["b"]}),
    Exchange("score", "/score", _embed(queries="a", documents=["a", "b"])),
    Exchange("score of texts", "/v1/score", _embed(text_1="a", text_2="b")),
    Exchange("score two to three", "/score", _embed(queries=["a", "b"], documents=["a", "b", "c"])),
    Exchange("score of nothing", "/score", _embed()),
    Exchange("score cut too far", "/score", _embed(queries="a", documents="b", max_tokens_per_doc=99999)),
    Exchange("chat", "/v1/chat/completions", _embed(messages=HI)),
    Exchange("completion", "/v1/completions", _embed(prompt="a")),
)
EMBEDS = (
    Exchange("models", "/v1/models", method="GET"),
    Exchange("embedding", EMBEDDINGS, _embed(input="Hello")),
    Exchange("embeddings of two texts", EMBEDDINGS, _embed(input=["a", "bb"])),
    Exchange("embedding of token ids", EMBEDDINGS, _embed(input=[1, 2, 3])),
    Exchange("embeddings of lists of token ids", EMBEDDINGS, _embed(input=[[1, 2], [3]])),
    Exchange("embedding in base64", EMBEDDINGS, _embed(input="a", encoding_format="base64")),
    Exchange("embedding of 32 values", EMBEDDINGS, _embed(input="a", dimensions=32)),
    Exchange("embedding of no values", EMBEDDINGS, _embed(input="a", dimensions=0)),
    Exchange("embedding of too many values", EMBEDDINGS, _embed(input="a", dimensions=99999)),
    Exchange("embedding of nothing", EMBEDDINGS, _embed(input=[])),
    Exchange(
        "embedding of a text that is cut", EMBEDDINGS, _embed(input="x" * 3000, truncate_prompt_tokens=-1)
    ),
    Exchange("embedding cut too far", EMBEDDINGS, _embed(input="x", truncate_prompt_tokens=9999)),
    Exchange("embedding over the context", EMBEDDINGS, _embed(input=[7] * 3000)),
    Exchange("embedding of a long text", EMBEDDINGS, _embed(input="x" * 30000)),
    Exchange("token id outside the vocabulary", EMBEDDINGS, _embed(input=[1, 2**31])),
    Exchange("embedding by an unknown model", EMBEDDINGS, {"model": "nope", "input": "a"}),
    Exchange("embedding without a model", EMBEDDINGS, {"input": "a"}),
    Exchange("embedding not JSON", EMBEDDINGS, "{bad json"),
    *SCORES,
)


@dataclass(frozen=True)
class PoolingEngine:
    """One of the pairs. emulated_model, emulator_flags, vllm_flags: how each of the two is started."""

    name: str
    emulated_model: str
    emulator_flags: tuple[str, ...]
    vllm_flags: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


POOLING_ENGINES = (
    PoolingEngine(
        name="embed",
        emulated_model="Qwen/Qwen3-Embedding-0.6B",
        emulator_flags=("--hf-overrides", '{"is_matryoshka": true}'),
        vllm_flags=("--runner", "pooling", "--convert", "embed", "--hf-overrides", '{"is_matryoshka": true}'),
        exchanges=EMBEDS,
    ),
    PoolingEngine(
        name="rerank",
        emulated_model="Qwen/Qwen3-Reranker-0.6B",
        emulator_flags=(
            "--convert",
            "classify",
            "--hf-overrides",
            '{"classifier_from_token": ["no", "yes"]}',
        ),
        # A classifier whose weights are made up like all others.
        vllm_flags=("--runner", "pooling", "--convert", "classify", "--hf-overrides", '{"num_labels": 1}'),
        exchanges=SCORES,
    ),
)


def observe_answers(engine: PoolingEngine, server: RunningServer) -> dict[str, Shape]:
    """Sends every exchange once; the answers by the engine's name and that of the exchange."""
    with httpx.Client(timeout=60) as client:
        return {
            f"{engine.name}, {exchange.name}": send(exchange, server, client) for exchange in engine.exchanges
        }


def write_observed_answers(answers: Mapping[str, Shape]) -> None:
    document = {"source": SOURCE, "answers": {name: asdict(shape) for name, shape in answers.items()}}
    OBSERVED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_observed_answers() -> dict[str, Shape]:
    """What the real vLLM answered when the file was written."""
    document = json.loads(OBSERVED.read_text(encoding="utf-8"))
    return {name: Shape(**shape) for name, shape in document["answers"].items()}


def exchange_names(engines: Sequence[PoolingEngine] = POOLING_ENGINES) -> set[str]:
    return {f"{engine.name}, {exchange.name}" for engine in engines for exchange in engine.exchanges}

"""Embeddings and scores in vLLM's shape."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from local.engine.embeddings import embedding, relevance
from local.engine.pooling import EmbeddingRequest, PoolingRequest, RerankRequest
from local.engine.pooling_settings import Pooling
from local.engine.request import Request
from local.engine.tokens import Prompt


def usage(request: Request) -> dict[str, Any]:
    tokens = sum(choice.sequence.prompt_tokens for choice in request.choices)
    return {
        "prompt_tokens": tokens,
        "total_tokens": tokens,
        "completion_tokens": 0,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }


def embeddings(
    asked: EmbeddingRequest,
    prompts: Sequence[Prompt],
    pooling: Pooling,
    model: str,
    identity: str,
    request: Request,
) -> dict[str, Any]:
    width = asked.width(pooling, model)
    normalised = asked.use_activation is not False
    vectors = [embedding(prompt, pooling.dimensions, width, normalised) for prompt in prompts]
    return {
        "id": f"embd-{identity}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [
            {"index": index, "object": "embedding", "embedding": asked.encoded(vector)}
            for index, vector in enumerate(vectors)
        ],
        "usage": usage(request),
    }


def scores(pairs: Sequence[tuple[Prompt, Prompt]], asked: PoolingRequest, pooling: Pooling) -> list[float]:
    """Of each pair: from a classifier between 0 and 1, from embeddings the cosine of their angle."""
    if pooling.task == "classify":
        found = [relevance(query, document) for query, document in pairs]
        # Without its activation, the logit.
        return [math.log(each / (1 - each)) for each in found] if asked.use_activation is False else found
    width = pooling.dimensions
    return [
        sum(
            one * other
            for one, other in zip(
                embedding(query, width, width, normalised=True),
                embedding(document, width, width, normalised=True),
                strict=True,
            )
        )
        for query, document in pairs
    ]


def ranking(
    asked: RerankRequest, found: Sequence[float], model: str, identity: str, request: Request
) -> dict[str, Any]:
    texts = asked.documents if isinstance(asked.documents, list) else [asked.documents]
    ranked = sorted(range(len(found)), key=lambda index: found[index], reverse=True)
    kept = ranked[: asked.top_n] if asked.top_n else ranked
    tokens = usage(request)["prompt_tokens"]
    return {
        "id": f"score-{identity}",
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": [
            {
                "index": index,
                "document": {"text": texts[index], "multi_modal": None},
                "relevance_score": found[index],
            }
            for index in kept
        ],
    }


def score_list(found: Sequence[float], model: str, identity: str, request: Request) -> dict[str, Any]:
    return {
        "id": f"score-{identity}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(found)],
        "usage": usage(request),
    }

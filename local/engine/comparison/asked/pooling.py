"""Requests to engines that embed or rerank. Only answers are compared; metric families are those of any
engine."""

from __future__ import annotations

from local.engine.comparison.asked.bodies import EMBEDDINGS, HI, pooled
from local.engine.comparison.exchanges import Exchange

SCORES = (
    Exchange("rerank", "/rerank", pooled(query="a", documents=["a", "bb"])),
    Exchange("rerank v1", "/v1/rerank", pooled(query="a", documents=["a", "bb"])),
    Exchange("rerank v2", "/v2/rerank", pooled(query="a", documents=["a", "bb"])),
    Exchange("rerank one document", "/rerank", pooled(query="a", documents="a")),
    Exchange("rerank the best", "/rerank", pooled(query="a", documents=["a", "b"], top_n=1)),
    Exchange("rerank top_n negative", "/rerank", pooled(query="a", documents=["a"], top_n=-1)),
    Exchange("rerank no documents", "/rerank", pooled(query="a", documents=[])),
    Exchange("rerank query missing", "/rerank", pooled(documents=["a"])),
    Exchange("rerank unknown model", "/rerank", {"model": "nope", "query": "a", "documents": ["b"]}),
    Exchange("score", "/score", pooled(queries="a", documents=["a", "b"])),
    Exchange("score of texts", "/v1/score", pooled(text_1="a", text_2="b")),
    Exchange("score two to three", "/score", pooled(queries=["a", "b"], documents=["a", "b", "c"])),
    Exchange("score of nothing", "/score", pooled()),
    Exchange("score cut too far", "/score", pooled(queries="a", documents="b", max_tokens_per_doc=99999)),
    Exchange("chat", "/v1/chat/completions", pooled(messages=HI)),
    Exchange("completion", "/v1/completions", pooled(prompt="a")),
)
EMBEDS = (
    Exchange("models", "/v1/models", method="GET"),
    Exchange("embedding", EMBEDDINGS, pooled(input="Hello")),
    Exchange("embeddings of two texts", EMBEDDINGS, pooled(input=["a", "bb"])),
    Exchange("embedding of token ids", EMBEDDINGS, pooled(input=[1, 2, 3])),
    Exchange("embeddings of lists of token ids", EMBEDDINGS, pooled(input=[[1, 2], [3]])),
    Exchange("embedding in base64", EMBEDDINGS, pooled(input="a", encoding_format="base64")),
    Exchange("embedding of 32 values", EMBEDDINGS, pooled(input="a", dimensions=32)),
    Exchange("embedding of no values", EMBEDDINGS, pooled(input="a", dimensions=0)),
    Exchange("embedding of too many values", EMBEDDINGS, pooled(input="a", dimensions=99999)),
    Exchange("embedding of nothing", EMBEDDINGS, pooled(input=[])),
    Exchange(
        "embedding of a text that is cut", EMBEDDINGS, pooled(input="x" * 3000, truncate_prompt_tokens=-1)
    ),
    Exchange("embedding cut too far", EMBEDDINGS, pooled(input="x", truncate_prompt_tokens=9999)),
    Exchange("embedding over the context", EMBEDDINGS, pooled(input=[7] * 3000)),
    Exchange("embedding of a long text", EMBEDDINGS, pooled(input="x" * 30000)),
    Exchange("token id outside the vocabulary", EMBEDDINGS, pooled(input=[1, 2**31])),
    Exchange("embedding by an unknown model", EMBEDDINGS, {"model": "nope", "input": "a"}),
    Exchange("embedding without a model", EMBEDDINGS, {"input": "a"}),
    Exchange("embedding not JSON", EMBEDDINGS, "{bad json"),
    *SCORES,
)

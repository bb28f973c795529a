"""Requests of every route, with the mistakes that clients make most."""

from __future__ import annotations

from local.engine.comparison.asked.bodies import CHAT, CONTEXT, HI, SERVED_NAME, TEXT, USAGE, chat, text
from local.engine.comparison.exchanges import Compared, Exchange

TOO_LONG = [7] * 3000
"""More tokens than the context has."""

ROUTES = (
    Exchange("models", "/v1/models", method="GET"),
    Exchange("version", "/version", method="GET"),
    Exchange("load", "/load", method="GET"),
    Exchange("health", "/health", method="GET"),
    Exchange("ping", "/ping", method="GET"),
    Exchange("tokenize a prompt", "/tokenize", {"model": SERVED_NAME, "prompt": "abc"}),
    Exchange("tokenize a chat", "/tokenize", {"model": SERVED_NAME, "messages": HI}),
    Exchange("tokenize with an unknown model", "/tokenize", {"model": "nope", "prompt": "abc"}),
    Exchange("tokenize without a model", "/tokenize", {"prompt": "abc"}),
    Exchange("tokenize nothing", "/tokenize", {"model": SERVED_NAME}),
    Exchange("tokenize an empty prompt", "/tokenize", {"model": SERVED_NAME, "prompt": ""}),
    Exchange(
        "tokenize with the tokens as text",
        "/tokenize",
        {"model": SERVED_NAME, "prompt": "abc", "return_token_strs": True},
    ),
    Exchange("tokenize a prompt of the wrong type", "/tokenize", {"model": SERVED_NAME, "prompt": 5}),
    Exchange("detokenize", "/detokenize", {"model": SERVED_NAME, "tokens": [10, 11]}),
    Exchange("detokenize with an unknown model", "/detokenize", {"model": "nope", "tokens": [10]}),
    Exchange("detokenize nothing", "/detokenize", {"model": SERVED_NAME, "tokens": []}),
    Exchange("detokenize words", "/detokenize", {"model": SERVED_NAME, "tokens": ["a"]}),
    Exchange("detokenize without tokens", "/detokenize", {"model": SERVED_NAME}),
    Exchange("invocation with a prompt", "/invocations", text()),
    Exchange("invocation with messages", "/invocations", chat()),
    Exchange("invocation of nothing", "/invocations", {"model": SERVED_NAME}),
    Exchange("embedding from a generating model", "/v1/embeddings", {"model": SERVED_NAME, "input": "a"}),
    Exchange(
        "rerank by a generating model", "/rerank", {"model": SERVED_NAME, "query": "a", "documents": []}
    ),
    Exchange("score by a generating model", "/score", {"model": SERVED_NAME, "queries": "a"}),
    Exchange("pooling by a generating model", "/pooling", {"model": SERVED_NAME, "input": "a"}),
    Exchange("classification by a generating model", "/classify", {"model": SERVED_NAME, "input": "a"}),
)

PROMPTS = (
    Exchange("completion", TEXT, text()),
    Exchange("completion of two prompts, two choices, echo", TEXT, text(prompt=["a", "b"], n=2, echo=True)),
    Exchange("completion of token ids", TEXT, text(prompt=[1, 2, 3])),
    Exchange("completion of lists of token ids", TEXT, text(prompt=[[1, 2], [3]])),
    Exchange("completion with echo alone", TEXT, text(echo=True, max_tokens=0)),
    Exchange("completion with echo alone streamed", TEXT, text(echo=True, max_tokens=0, stream=True)),
    Exchange("completion with echo streamed", TEXT, text(echo=True, stream=True)),
    Exchange(
        "completion with echo of two prompts streamed", TEXT, text(prompt=["a", "b"], echo=True, stream=True)
    ),
    Exchange("completion of two prompts streamed", TEXT, text(prompt=["a", "b"], stream=True)),
    Exchange("completion of two choices streamed", TEXT, text(n=2, stream=True)),
    Exchange("completion streamed", TEXT, text(stream=True)),
    Exchange("completion without tokens", TEXT, text(max_tokens=0)),
    Exchange("completion of length null", TEXT, text(prompt=[7] * (CONTEXT - 4), max_tokens=None)),
    Exchange("prompt missing", TEXT, {"model": SERVED_NAME}),
    Exchange("prompt empty", TEXT, text(prompt="")),
    Exchange("prompt null", TEXT, text(prompt=None)),
    Exchange("prompt a number", TEXT, text(prompt=5)),
    Exchange("no prompts", TEXT, text(prompt=[])),
    Exchange("an empty prompt in a list", TEXT, text(prompt=["a", ""])),
    Exchange("a list without tokens", TEXT, text(prompt=[[]])),
    Exchange("prompts of two types", TEXT, text(prompt=["a", [1]])),
    Exchange("1025 prompts", TEXT, text(prompt=["a"] * 1025, max_tokens=1)),
    Exchange("suffix", TEXT, text(suffix="b")),
    Exchange("prompt as long as the context", TEXT, text(prompt=[7] * CONTEXT)),
    Exchange("prompt and reply over the context", TEXT, text(prompt=[7] * (CONTEXT - 3), max_tokens=100)),
    Exchange("prompt over the context", TEXT, text(prompt=TOO_LONG)),
    Exchange("prompt over the context, cut", TEXT, text(prompt="x" * 3000, truncate_prompt_tokens=10)),
    Exchange("prompt over the context streamed", TEXT, text(prompt=TOO_LONG, stream=True)),
    Exchange("token id outside the vocabulary", TEXT, text(prompt=[1, 2**31])),
    Exchange("token id negative", TEXT, text(prompt=[-1])),
    Exchange("prompt embeddings", TEXT, text(prompt_embeds="aaaa")),
    Exchange("log probabilities of a completion", TEXT, text(logprobs=1), compared=Compared.HEAD),
    Exchange("too many log probabilities of a completion", TEXT, text(logprobs=21)),
    Exchange("log probabilities of a completion negative", TEXT, text(logprobs=-2)),
    Exchange("n over the most of a completion", TEXT, text(n=20000)),
    Exchange("n null of a completion", TEXT, text(n=None)),
    Exchange("stop of five texts of a completion", TEXT, text(stop=["1", "2", "3", "4", "5"])),
    Exchange("temperature negative of a completion", TEXT, text(temperature=-1)),
    Exchange("n of two with temperature zero of a completion", TEXT, text(n=2, temperature=0)),
)

STREAMS = (
    Exchange("completion streamed with usage", TEXT, text(stream=True, stream_options=USAGE)),
    Exchange(
        "completion streamed with usage in each event",
        TEXT,
        text(stream=True, stream_options={**USAGE, "continuous_usage_stats": True}),
    ),
    Exchange("completion with empty stream options", TEXT, text(stream=True, stream_options={})),
    Exchange(
        "completion with usage in each event alone",
        TEXT,
        text(stream=True, stream_options={"continuous_usage_stats": True}),
    ),
    Exchange(
        "completion streamed without usage",
        TEXT,
        text(stream=True, stream_options={"include_usage": False}),
    ),
    Exchange("completion with stream options and no stream", TEXT, text(stream_options=USAGE)),
    Exchange("chat streamed", CHAT, chat(stream=True)),
    Exchange("chat of two choices streamed", CHAT, chat(stream=True, n=2)),
    Exchange("chat streamed with usage", CHAT, chat(stream=True, stream_options=USAGE)),
    Exchange(
        "chat streamed with usage in each event",
        CHAT,
        chat(stream=True, stream_options={**USAGE, "continuous_usage_stats": True}),
    ),
    Exchange("chat with empty stream options", CHAT, chat(stream=True, stream_options={})),
    Exchange(
        "chat with usage in each event alone",
        CHAT,
        chat(stream=True, stream_options={"continuous_usage_stats": True}),
    ),
    Exchange("chat with stream options null", CHAT, chat(stream=True, stream_options=None)),
    Exchange("chat with usage null", CHAT, chat(stream=True, stream_options={"include_usage": None})),
    Exchange("chat with unknown stream options", CHAT, chat(stream=True, stream_options={"foo": 1})),
    Exchange("chat with stream options of the wrong type", CHAT, chat(stream=True, stream_options=1)),
    Exchange("stream options without a stream", CHAT, chat(stream_options=USAGE)),
    Exchange("empty stream options without a stream", CHAT, chat(stream_options={})),
    Exchange("chat with stream null", CHAT, chat(stream=None)),
    Exchange("chat with stream of the wrong type", CHAT, chat(stream="maybe")),
    Exchange("unknown model streamed", CHAT, chat(model="nope", stream=True)),
    Exchange("max_tokens zero streamed", CHAT, chat(max_tokens=0, stream=True)),
)

PLAIN = (*ROUTES, *PROMPTS, *STREAMS)

"""Requests nobody should send: HTTP and JSON, right in most places and wrong in some."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from hypothesis import strategies as st

PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/score",
    "/rerank",
    "/v2/rerank",
    "/score",
    "/v1/models",
    "/v1/models/chat",
)
FORBIDDEN_PATHS = (
    "/metrics", "/tokenize", "/detokenize", "/pause", "/invocations", "/pooling", "/classify", "/load",
    "/health", "/version", "/v1/load_lora_adapter", "/collective_rpc", "/sleep", "/reset_prefix_cache",
    "/v1/responses", "/v1/messages", "/v1/audio/transcriptions", "/server_info", "/openapi.json", "/",
)  # fmt: skip
"""Paths that vLLM serves, some in development mode only, and that nobody may reach from outside."""

MODELS = ("chat", "chat-large", "embedder", "reranker", "Org/Chat:latest", "adapter-1")


@dataclass(frozen=True)
class Sent:
    """A request as its bytes say it. headers: as they are, without framing. chunked: how the body is sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunked: bool

    def raw(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: gateway", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            half = len(self.body) // 2
            pieces = [piece for piece in (self.body[:half], self.body[half:]) if piece]
            framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            lines.append(f"Content-Length: {len(self.body)}")
            framed = self.body
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + framed


def _escaped(name: str) -> st.SearchStrategy[str]:
    """A name as JSON may spell it: letters as themselves or as \\u escapes, in either case."""

    def spell(choices: list[int]) -> str:
        spelled = [
            letter if choice == 0 else f"\\u{ord(letter):04x}" if choice == 1 else f"\\u{ord(letter):04X}"
            for letter, choice in zip(name, choices, strict=True)
        ]
        return '"' + "".join(spelled) + '"'

    plain = st.just([0] * len(name))
    mixed = st.lists(st.integers(0, 2), min_size=len(name), max_size=len(name))
    return st.one_of(plain, plain, mixed).map(spell)


ODD_STRINGS = (
    '""', '"chat\\u0000"', '"chat "', '" chat"', '"CHAT"', '"chat\\n"', '"chat\\/"', '"\\ud83d"',
    '"\\udc00chat"',
    '"chat\\ud800"', '"cha\\u0074\\u200b"', '"*"', '"../chat"', '"chat-canary"', '"%63hat"', '"chat\\x"',
    "'chat'",
    '"chat', '"chat\\"', '"ch\tat"', '"chat\x00"', '"chat\x7f"', '"сhat"',
)  # fmt: skip
ODD_VALUES = (
    "null", "true", "0", "-0", "1e400", "-1e400", "1" * 400, "0.1e-400", "NaN", "Infinity", "-Infinity", "01",
    "+1", ".5", "1.", "0x10", "[]", "{}", '["chat"]', '{"model": "chat-large"}', '[{"model": "chat-large"}]',
    '"\\u0000"', "[" * 50 + "]" * 50, "[" * 1500 + "]" * 1500, '{"a":' * 150 + "1" + "}" * 150, "undefined",
)  # fmt: skip
KEYS = (
    '"prompt"', '"messages"', '"stream"', '"input"', '"query"', '"documents"', '"Model"', '"model "',
    '"MODEL"',
    '"model\\u0000"', '"\\"model\\""', '"modèle"', '"prompt_cache_key"', '"a"', '""', '"__proto__"',
    '"mod\\u0435l"',
)  # fmt: skip

model_keys = _escaped("model")
model_values = st.one_of(
    st.sampled_from(MODELS).flatmap(_escaped),
    st.sampled_from(MODELS).flatmap(_escaped),
    st.sampled_from(ODD_STRINGS),
    st.sampled_from(ODD_VALUES),
)
other_members = st.tuples(
    st.one_of(st.sampled_from(KEYS), st.text(max_size=5).map(lambda text: f'"{text}"')),
    st.one_of(
        st.sampled_from(ODD_VALUES),
        st.sampled_from(ODD_STRINGS),
        st.just('[{"role": "user", "content": "{\\"model\\": \\"chat-large\\"}"}]'),
        st.just('{"model": "chat-large"}'),
        st.just('"}, \\"model\\": \\"chat-large\\", {"'),
        st.just('"\\\\"'),
        st.just('"\\\\\\""'),
    ),
)
spaces = st.sampled_from(("", "", " ", "\n", "\t\r\n ", "\x0b", "\u00a0", "/**/"))


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """The text of an object, or of something near it."""
    members = draw(st.lists(other_members, max_size=4))
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 1, 0, 2, 3)))):
        at = draw(st.integers(0, len(members)))
        members.insert(at, (draw(model_keys), draw(model_values)))
    space = draw(spaces)
    text = f"{space},{space}".join(f"{key}{space}:{space}{value}" for key, value in members)
    opening, closing = draw(
        st.sampled_from((("{", "}"),) * 12 + (("[{", "}]"), ("{", ",}"), ("{", ""), ("", ""), ("{{", "}}")))
    )
    suffix = draw(
        st.sampled_from(("",) * 12 + ("\n", " ", "\x00", "{}", '{"model": "chat-large"}', "garbage", "//"))
    )
    prefix = draw(st.sampled_from(("",) * 12 + (" ", "\n", "\ufeff", "\x1e", "//\n", "data: ", ")]}',\n")))
    return prefix + opening + space + text + space + closing + suffix


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


bodies = st.one_of(
    json_texts().map(lambda text: _encoded(text, "utf-8")),
    json_texts().map(lambda text: _encoded(text, "utf-8")),
    json_texts().map(lambda text: _encoded(text, "utf-8")),
    st.builds(
        _encoded, json_texts(), st.sampled_from(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1",
        "utf-8-sig"))
    ),
    json_texts().map(lambda text: gzip.compress(_encoded(text, "utf-8"))),
    st.builds(
        lambda text, cut: _encoded(text, "utf-8")[:cut], json_texts(), st.integers(0, 60)
    ),
    st.builds(
        lambda text, at, byte: (raw := _encoded(text, "utf-8"))[: at % (len(raw) + 1)]
        + bytes([byte])
        + raw[at % (len(raw) + 1) :],
        json_texts(),
        st.integers(0, 500),
        st.integers(0, 255),
    ),
    st.binary(max_size=40),
)  # fmt: skip

content_types = st.sampled_from(
    ("application/json",) * 12
    + (
        "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=utf-16",
        "application/json; charset=utf-7", "text/plain", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/jsonx", "application/json, text/plain",
        "application/ld+json",
        "application/json\t", "", ";", "text/json", "application/json;", "*/*",
    )
)  # fmt: skip

ODD_HEADERS = (
    ("Content-Encoding", "gzip"), ("Content-Encoding", "identity"), ("Content-Encoding", "br"),
    ("Content-Type", "text/plain"), ("X-HTTP-Method-Override", "GET"), ("X-Original-URL", "/metrics"),
    ("X-Rewrite-URL", "/metrics"), ("X-Envoy-Original-Path", "/metrics"), ("X-Envoy-Retry-On", "5xx"),
    ("X-Envoy-Max-Retries", "100"), ("X-Envoy-Upstream-Rq-Timeout-Ms", "1"), ("X-Envoy-Internal", "true"),
    ("X-Envoy-Upstream-Alt-Stat-Name", "x"), ("X-Envoy-Decorator-Operation", "x"),
    ("X-Envoy-Force-Trace", "1"), ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"), ("X-Forwarded-Host", "engine"),
    ("X-Forwarded-Proto", "https"), ("X-Request-Id", "a" * 300), ("Expect", "100-continue"), ("TE",
    "trailers"),
    ("Upgrade", "websocket"), ("Upgrade", "h2c"), ("Cookie", "a=b"), ("Range", "bytes=0-1"),
    ("Accept-Encoding", "gzip"), ("Model", "chat-large"), ("X-Model", "chat-large"),
    ("X-LLM-Platform-Model", "x"),
    ("X-Jwt-Payload", "e30"), ("X-Team", "search"), ("Authorization", "Bearer other"),
    ("Proxy-Authorization", "x"), ("X-Api-Key", "x"), ("Api-Key", "x"), ("X-Vllm-Priority", "-1"),
    ("X-Data-Parallel-Rank", "0"), ("X-Session-Id", "1"),
    ("X-Long", "x" * 9000), ("Trailer", "X-A"), ("Connection", "X-Team"), ("Priority", "u=0"), ("Host",
    "other"),
)  # fmt: skip
headers = st.lists(st.sampled_from(ODD_HEADERS), max_size=3)

methods = st.sampled_from(
    ("POST",) * 16
    + ("GET", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "FOO")
)


def _mangled(path: str, way: int) -> str:
    ways = (
        path, path, path, path, path, path, path, path,
        f"{path}?x=1", f"{path}/", path.replace("/", "//"), path.upper(), f"{path}#x", f"{path};x=1",
        f"/metrics/..{path}", f"{path}/../../../metrics", f"{path}/..%2f..%2f..%2fmetrics", f"{path}%00",
        path.replace("/", "%2f"), path.replace("o", "%6f"), f"http://other{path}", f"{path}/%2e%2e/metrics",
        f"/.{path}", f"{path}\\..\\metrics", f"{path}?model=chat-large", f"{path}%20", f"{path}%3f",
        f"/%76{path[2:]}",
        path.replace("v1", "v1/."), f"{path}%ff", f"*{path}", "*", path.lstrip("/"),
    )  # fmt: skip
    return ways[way % len(ways)]


targets = st.one_of(
    st.builds(_mangled, st.sampled_from(PATHS), st.integers(0, 32)),
    st.builds(_mangled, st.sampled_from(PATHS), st.integers(0, 32)),
    st.builds(_mangled, st.sampled_from(FORBIDDEN_PATHS), st.integers(0, 32)),
)


@st.composite
def requests(draw: st.DrawFn, authorizations: st.SearchStrategy[str | None]) -> Sent:
    """A request with a token from `authorizations`, or without."""
    found: list[tuple[str, str]] = [("Content-Type", draw(content_types))]
    token = draw(authorizations)
    if token is not None:
        found.append(("Authorization", token))
    for header in draw(headers):
        found.insert(draw(st.integers(0, len(found))), header)
    return Sent(draw(methods), draw(targets), tuple(found), draw(bodies), draw(st.booleans()))

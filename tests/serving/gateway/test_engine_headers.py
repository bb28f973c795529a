"""Of what a client sends in headers, engines get the few that are listed."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.engine_headers import ARRIVING, FOR_ENGINES, every_name_but
from tests.serving.gateway.fuzz.exchange import exchange
from tests.serving.gateway.fuzz.requests import Sent
from tests.serving.gateway.gateway_process import JSON, Gateway, running
from tests.serving.gateway.recording_server import Recorder, recording

STEERING = [
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Forwarded-Host",
    "X-Forwarded-For",
    "Forwarded",
    "Traceparent",
    "Tracestate",
    "X-LLM-Platform-Model",
    "X-Data-Parallel-Rank",
    "X-Session-Id",
    "X-Vllm-Priority",
    "Cookie",
    "Api-Key",
    "X-Api-Key",
    "Proxy-Authorization",
    "Accept-Encoding",
    "User-Agent",
    "X-Client-Request-Id",
    "X-Envoy-Max-Retries",
    "X-Stainless-Lang",
    "X-Envoy-Upstream-Rq-Timeout-Ms",
    "X-Envoy-Attempt-Count",
    "X-LLM-Platform-Tries",
    "Via",
    "Range",
    "If-Match",
    "Origin",
    "Content-Language",
    "Content-Location",
    "Accept-Language",
]
NAMES = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^`|~", min_size=1, max_size=24)
NEAR = st.builds(
    lambda name, cut, added: name[:cut] + added,
    st.sampled_from(FOR_ENGINES),
    st.integers(1, 15),
    st.text(string.ascii_lowercase + "-", max_size=3),
)
FRAMING = set(
    [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
        "content-encoding",
        "te",
        "authorization",
        "content-type",
        "keep-alive",
        "proxy-connection",
    ]
)
"""What HTTP itself or the gateway reads: another value is another request."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Recorder]:
    with recording("chat") as recorders:
        yield recorders["chat"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Recorder) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, 1 << 20) as started:
        yield started


def arrived(gateway: Gateway, engine: Recorder, names: Sequence[str]) -> set[str]:
    engine.requests.clear()
    headers = (*JSON.items(), ("Accept", "application/json"), *((name, "1") for name in names))
    reply = exchange(
        gateway.clients, Sent("POST", "/v1/chat/completions", headers, b'{"model":"chat"}', chunked=False)
    )
    assert reply.status == 200
    seen = engine.requests[0]
    assert seen.header("x-envoy-attempt-count") == "1"
    return {name for name, _ in seen.headers}


def test_no_header_that_servers_are_known_to_follow_arrives(gateway: Gateway, engine: Recorder):
    assert arrived(gateway, engine, STEERING) == ARRIVING


@settings(max_examples=150, deadline=None)
@given(names=st.lists(st.one_of(NAMES, NEAR), min_size=1, max_size=20))
def test_no_other_header_arrives(gateway: Gateway, engine: Recorder, names: list[str]):
    names = [name for name in names if name.lower() not in FRAMING]
    assert arrived(gateway, engine, names) == ARRIVING


@settings(max_examples=300, deadline=None)
@given(
    kept=st.sets(st.text("abc-", min_size=1, max_size=12), min_size=1, max_size=6),
    name=st.text("abc-:", min_size=1, max_size=13),
)
def test_the_patterns_match_every_name_but_the_listed(kept: set[str], name: str):
    patterns = [re.compile(pattern.replace(r"\C", ".")) for pattern in every_name_but(kept)]
    matched = any(pattern.fullmatch(name) for pattern in patterns)
    assert matched == (name not in kept and not name.startswith(":") and ":" not in name[:1])

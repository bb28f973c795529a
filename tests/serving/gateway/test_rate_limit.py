"""What a team may ask for: the real filter, real tokens."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.rate_limit import Rate, RateLimits, bucket
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import Gateway, authorization, running

LIMITS = RateLimits(Rate(0.01, 3), {"batch": Rate(0.01, 5)})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, {"chat": [engine.port]}, 1 << 20, rate_limits=LIMITS) as started:
        yield started


def asked(gateway: Gateway, team: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps({"model": "chat"}),
        {"Content-Type": "application/json", **authorization(team), "Connection": "close"},
    )
    return connection.getresponse()


@pytest.mark.parametrize(("team", "burst"), [("search", 3), ("ads", 3), ("batch", 5)])
def test_each_team_has_a_bucket_of_its_own(gateway: Gateway, engine: Engine, team: str, burst: int):
    engine.requests.clear()
    replies = [asked(gateway, team) for _ in range(burst + 2)]
    assert [reply.status for reply in replies] == [200] * burst + [429] * 2
    assert len(engine.requests) == burst
    assert replies[0].headers["x-ratelimit-limit"].startswith(str(burst))
    assert replies[0].headers["x-ratelimit-remaining"] == str(burst - 1)
    refused = replies[-1]
    assert refused.headers["retry-after"] == "5"
    error = json.loads(refused.read())["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")


@given(
    rate=st.builds(Rate, st.floats(0.001, 100_000), st.integers(1, 1_000_000)), replicas=st.integers(1, 100)
)
def test_all_pods_together_allow_the_rate(rate: Rate, replicas: int):
    found = bucket(rate, replicas)
    seconds = float(str(found["fill_interval"]).removesuffix("s"))
    tokens, most = found["tokens_per_fill"], found["max_tokens"]
    assert isinstance(tokens, int)
    assert isinstance(most, int)
    assert seconds >= 0.05  # the least that Envoy takes
    assert tokens / seconds * replicas == pytest.approx(rate.requests_per_second, rel=1e-4)
    assert rate.burst <= most * replicas < rate.burst + replicas

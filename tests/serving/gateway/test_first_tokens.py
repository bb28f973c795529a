"""The gateway times first tokens of engines that do not: by the body, for streams that were not refused."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.gateway.first_tokens import EDGES, first_tokens_logs
from serving.gateway.served import ServedModel
from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import JSON, Gateway, running

LIMIT = 1024 * 1024
THINKS_SECONDS = 0.3
TOKEN = b'data: {"id":"a","choices":[{"delta":{"content":"a"}}]}\n\n'
REFUSED = b'data: {"error": {"message": "full", "code": 503}}\n\n'


class Late(list[bytes]):
    """Pieces of an answer whose headers go out at once and whose first piece takes its time."""

    def __iter__(self) -> Iterator[bytes]:
        time.sleep(THINKS_SECONDS)
        return super().__iter__()


def buckets(gateway: Gateway) -> dict[tuple[str, str], float]:
    """By Service and edge, what Prometheus reads."""
    with urllib.request.urlopen(f"http://{gateway.metrics}/stats/prometheus", timeout=10) as reply:
        text = reply.read().decode()
    return {
        (sample.labels["service"], sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "envoy_gateway_first_token_bucket"
    }


def ask(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "chat"}), JSON)
    assert connection.getresponse().read()
    connection.close()


# Envoy merges the histograms of its threads every 5 s.
@pytest.mark.traffic
def test_the_first_byte_of_a_body_counts_and_a_refusal_does_not(tmp_path: Path):
    models = [ServedModel("chat", "generate", timed=True)]
    with serving() as engine, running(tmp_path, {"chat": [engine.port]}, LIMIT, models=models) as gateway:
        engine.pieces = Late([TOKEN, b"data: [DONE]\n\n"])
        ask(gateway)
        engine.pieces = Late([REFUSED])
        ask(gateway)
        engine.pieces = ()
        engine.full = True
        ask(gateway)
        deadline = time.monotonic() + 15
        while not any((found := buckets(gateway)).values()) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert {service for service, _ in found} == {"chat"}
    counts = {edge: count for (_, edge), count in found.items()}
    assert (counts["250"], counts["500"], counts["+Inf"]) == (0, 1, 1)
    # What preview promises to count is what Envoy has.
    assert {float(edge) / 1000 for edge in counts} - {float("inf"), 0.0005} == set(EDGES)


def test_nothing_is_timed_where_every_engine_does_it_itself():
    assert first_tokens_logs([ServedModel("chat", "generate")]) == []

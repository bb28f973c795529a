from __future__ import annotations

import asyncio

import pytest

from local.gateway_benchmark.client import BadAnswer, Throughput, answer_length, pace, request, saturate
from local.gateway_benchmark.measure import SHAPES
from local.gateway_benchmark.servers import envoy_configuration
from local.gateway_benchmark.upstream import EVENTS, STREAMED, WHOLE, Shape, Upstream, split_request

HEAD = b"POST / HTTP/1.1\r\n"


def test_requests_are_split_by_length():
    one = HEAD + b"Content-Length: 3\r\n\r\nabc"
    assert split_request(one + b"POST") == (one[: one.find(b"\r\n\r\n")], b"abc", b"POST")


@pytest.mark.parametrize("part", [b"POST / HT", HEAD + b"content-length: 3\r\n\r\nab"])
def test_incomplete_requests_wait(part: bytes):
    assert split_request(part) is None


def test_chunked_requests_end_with_an_empty_chunk():
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert split_request(head + b"3\r\nabc\r\n") is None
    found = split_request(head + b"3\r\nabc\r\n0\r\n\r\nnext")
    assert found is not None
    assert found[1:] == (b"3\r\nabc\r\n", b"next")


def test_answers_know_their_length():
    assert answer_length(b"HTTP/1.1 200 OK\r\nconte") is None
    assert answer_length(WHOLE) == len(WHOLE)
    assert answer_length(STREAMED) == 0


def test_streamed_reply_has_all_events():
    assert STREAMED.count(b"data: {") == EVENTS
    assert STREAMED.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def _with_upstream(measure):
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    async with server:
        return await measure(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_saturation_counts_answers(shape: Shape):
    done: Throughput = asyncio.run(_with_upstream(lambda port: saturate(port, 4, 0.2, shape)))
    assert done.requests > 10
    assert done.seconds == pytest.approx(0.2, abs=0.2)


@pytest.mark.parametrize("shape", SHAPES)
def test_paced_requests_are_the_seeds(shape: Shape):
    seen = asyncio.run(_with_upstream(lambda port: pace(port, 2, 200, 0.5, 1, shape)))
    assert len(seen.total) == pytest.approx(100, abs=40)
    assert all(0 < first <= total for first, total in zip(seen.first, seen.total, strict=True))


def test_other_answers_than_200_end_the_measurement():
    class Refusing(Upstream):
        def data_received(self, data: bytes) -> None:
            assert self._transport is not None
            self._transport.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")

    async def go() -> None:
        server = await asyncio.get_running_loop().create_server(Refusing, "127.0.0.1", 0)
        async with server:
            await saturate(server.sockets[0].getsockname()[1], 1, 0.2, "whole")

    with pytest.raises(BadAnswer, match="503"):
        asyncio.run(go())


def test_request_is_whole():
    data = request(80, "streamed")
    found = split_request(data)
    assert found is not None
    assert found[2] == b""
    assert b'"stream":true' in found[1]


def test_envoy_gets_the_programs_configuration_on_loopback():
    document = envoy_configuration(18080, 18081)
    (listener,) = document["static_resources"]["listeners"]
    clusters = document["static_resources"]["clusters"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 18080}
    assert {cluster["type"] for cluster in clusters} == {"STATIC"}
    assert all("18081" in str(cluster["load_assignment"]) for cluster in clusters)
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    names = [item["name"] for item in filters]
    assert "scripts" in names
    assert names[-1] == "envoy.filters.http.router"

"""What passes the gateway is read by every parser in the same way: real filters against Python's json."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.gateway.served import ServedModel
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.fuzz.requests import bodies
from tests.serving.gateway.gateway_process import JSON, Gateway, memory_mib, running

LIMIT = 17 * 1024 * 1024
MEMORY_MIB = 8192
"""So much that a team may send these bodies as fast as it can."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(
        tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, LIMIT, memory_mib=MEMORY_MIB
    ) as started:
        yield started


def status(gateway: Gateway, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    try:
        connection.request(
            "POST",
            "/v1/embeddings",  # a path that this model does not answer: nothing has to be sent on
            body,
            {**JSON, **headers},
        )
        reply = connection.getresponse()
        code = json.loads(reply.read())["error"]["code"]
        assert code in {"wrong_path", "invalid_body", "model_not_found"}
        return 200 if code == "wrong_path" else reply.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "chat"}',
        b'{"m\\u006fd\\u0065l": "chat"}',
        b'{"x": {"model": 1}, "model": "chat", "y": [{"model": "chat"}], "z": "model"}',
        b'{"\\\\u006dodel": "chat", "model": "chat"}',
        b'{"x": "\\\\", "model"\t\r\n :\n"chat"}',
    ],
)
def test_one_model_passes(gateway: Gateway, body: bytes):
    assert json.loads(body)["model"] == "chat"
    assert status(gateway, body) == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "chat", "model": "chat"}',
        b'{"model": "chat", "x": {}, "model": "other"}',
        b'{"model": "chat", "\\u006dodel": "other"}',
        b'{"m\\u006fdel": "chat", "mode\\u006C": "chat"}',
        b'{"x": "\\\\", "model": "chat", "y": "\\"", "model": "chat"}',
        b'{"model": 3}',
        b'{"model": true}',
        b'{"\\u006dodel": 3}',
        b'{"model": "chat", "x": "\xff"}',
        '{"model": "chat"}'.encode("utf-16"),
        '{"model": "chat"}'.encode("utf-16-le"),
        b'[{"model": "chat"}]',
        b'{"model": "chat",}',
        b'{"model": "chat"}}',
        b'{"model": "chat", "x": [1,]}',
        b'{"model": "chat", "x": [1}',
        b'{"model": "chat" "x": 1}',
        b'{"model": "chat", "x": 01}',
        b'{"model": "chat", "x": NaN}',
        b'{"model": "chat", "x": "\t"}',
        b'{"model": "chat", "x": "\\ud800"}',
        b'{"model": "chat", "x": "\xed\xa0\x80"}',
        b'{"model": "chat", "x": "\xc0\xaf"}',
        b'{"model": "chat\\u0000"}',
        b'{"model": "chat\\u0000x"}',
        b'\xef\xbb\xbf{"model": "chat"}',
        b'{"model": "chat", "x": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"model": "chat", "x": ' + b"1" * 1001 + b"}",
        b'{"model": "chat", "x": 0.' + b"1" * 1000 + b"}",
        b'{"model": "' + b"a" * 1025 + b'"}',
        b'{"model": "' + b"\\u0061" * 2_000_000 + b'"}',
    ],
)
def test_what_parsers_may_read_differently_does_not(gateway: Gateway, engine: Engine, body: bytes):
    engine.requests.clear()
    assert status(gateway, body) == 400
    assert not engine.requests


@pytest.mark.parametrize(
    "name", ['o"d\\d/ü]]name', "/\b\f\n\r\t", "é", "€", "\U0001f600\U0010ffff", "\u0800\uffff\x7f", "a" * 500]
)
@pytest.mark.parametrize("ascii", [True, False])
def test_names_are_read_as_they_are_meant(tmp_path: Path, engine: Engine, name: str, ascii: bool):
    models = [ServedModel("chat", "generate", aliases=(name,))]
    with running(tmp_path, {"chat": [engine.port]}, LIMIT, models=models) as gateway:
        for text in (json.dumps({"model": name}, ensure_ascii=ascii), spelled_out(name)):
            assert status(gateway, text.encode()) == 200, text
        assert status(gateway, json.dumps({"model": f"{name}x"}).encode()) == 404


def spelled_out(name: str) -> str:
    units = name.encode("utf-16-be").hex()
    escapes = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return f'{{"mode\\u006c": "{escapes}"}}'


def test_a_compressed_body_does_not(gateway: Gateway):
    assert status(gateway, b'{"model": "chat"}', **{"Content-Encoding": "gzip"}) == 400
    assert status(gateway, b'{"model": "chat"}', **{"Content-Encoding": "identity"}) == 200


def spelled(text: str) -> st.SearchStrategy[str]:
    """The string as JSON, some letters escaped."""
    letters = [st.sampled_from([letter, f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"]) for letter in text]
    return st.tuples(*letters).map(lambda parts: f'"{"".join(parts)}"')


SPACE = st.sampled_from(["", " ", "\n", "\t \r"])
STRINGS = st.one_of(
    spelled("model"),
    st.text(st.sampled_from('model"\\{}[]:,u06d é'), max_size=8).map(json.dumps),
    st.sampled_from(['"\\\\u006dodel"', '"model\\\\"', '"\\"model"']),
)
SCALARS = st.one_of(STRINGS, st.sampled_from(["1", "true", "null", "-0.5e3"]))
KEYS = st.one_of(spelled("model"), STRINGS)


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(SPACE, KEYS, SPACE, SPACE, values, SPACE).map(
        lambda part: f"{part[0]}{part[1]}{part[2]}:{part[3]}{part[4]}{part[5]}"
    )
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        objects(inner), st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
    ),
    max_leaves=5,
)
BODIES = objects(st.one_of(st.just('"chat"'), VALUES))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_the_script_agrees_with_a_parser_that_sees_every_key(gateway: Gateway, body: str):
    pairs: list[tuple[str, object]] = json.JSONDecoder(object_pairs_hook=list).decode(body)
    models = [value for key, value in pairs if key == "model"]
    once = len(models) == 1 and isinstance(models[0], str) and models[0] != ""
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    connection.request("POST", "/v1/embeddings", body.encode(), JSON)
    code = json.loads(connection.getresponse().read())["error"]["code"]
    connection.close()
    assert (code != "invalid_body") == once, (body, code)


@settings(
    max_examples=1000, deadline=None, suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large)
)
@given(body=bodies)
def test_what_passes_is_what_a_strict_parser_reads(gateway: Gateway, body: bytes):
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    named = isinstance(document, dict) and isinstance(document.get("model"), str) and document["model"]
    code = status(gateway, body)
    if not named or "\0" in named:
        assert code == 400
    elif code == 400:
        # A name given twice, which orjson does not tell.
        pairs = json.JSONDecoder(object_pairs_hook=list).decode(body.decode())
        assert [key for key, _ in pairs].count("model") > 1
    else:
        assert code == (200 if named == "chat" else 404)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak as Linux shows it")
@pytest.mark.parametrize("item", ["0,", "{},", '"",'])
def test_a_body_of_many_values_takes_a_few_times_its_length(tmp_path: Path, engine: Engine, item: str):
    body = f'{{"model": "chat", "x": [{item * ((16 << 20) // len(item))}0]}}'.encode()
    with running(tmp_path, {"chat": [engine.port]}, LIMIT, memory_mib=MEMORY_MIB) as gateway:
        before = memory_mib(gateway, "VmHWM")
        assert status(gateway, body) == 200
        # 4 times here; a document in memory takes 90 times.
        assert memory_mib(gateway, "VmHWM") - before < 10 * 16


@pytest.mark.parametrize(
    "filling",
    [
        '"' + "x" * (16 << 20) + '"',
        '"' + '\\"' * (8 << 20) + '"',
        '"' + "\\\\" * (8 << 20) + '"',
        '"' + "é" * (8 << 20) + '"',
        "[" + "1234567," * (2 << 20) + "0]",
        "[" + "{}," * (5 << 20) + "0]",
    ],
    ids=["plain", "quotes", "backslashes", "two bytes", "numbers", "objects"],
)
def test_long_bodies_are_read_in_linear_time(gateway: Gateway, filling: str):
    # Twenty times what it takes here; a scan that looks back at each quote would take hours.
    body = f'{{"model": "chat", "x": "\\u006d", "prompt": {filling}}}'.encode()
    assert status(gateway, body) == 200

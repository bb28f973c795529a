"""A refusal inside a stream of status 200 is logged and counted as one, by any engine and in any pieces."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import JSON, access_log_lines, running
from tests.serving.gateway.test_tries import counted

LIMIT = 1024 * 1024

TOKEN = b'data: {"id":"a","choices":[{"delta":{"content":"{\\"error\\": 503}"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
VLLM = b'data: {"error": {"message": "m", "type": "ServiceUnavailableError", "param": null, "code": 503}}\n\n'
"""vLLM 0.32; 0.33 leaves out the spaces."""

SGLANG = (
    b'data: {"error": {"object": "error", "message": "m", "type": "SERVICE_UNAVAILABLE", "code": 503}}\n\n'
)
TGI = b'data:{"error":"Model is overloaded","error_type":"overloaded"}\n\n'

STREAMS: Sequence[tuple[bytes, str | None]] = (
    (VLLM + DONE, "refused"),
    (VLLM.replace(b": ", b":").replace(b"data:", b"data: ") + DONE, "refused"),
    (SGLANG + DONE, "refused"),
    (TGI, "refused"),
    (b"event: error\r\n" + TGI.replace(b"\n", b"\r\n"), "refused"),
    (b": keep-alive\n\n" + VLLM + DONE, "refused"),
    (VLLM.removesuffix(b"\n\n"), "refused"),
    (VLLM.replace(b"503", b"429"), "refused"),
    (VLLM.replace(b'"m"', b'"' + b"x" * 700 + b'"') + DONE, "refused"),
    (VLLM.replace(b"503", b"400"), "rejected"),
    (VLLM.replace(b"503", b"500"), "failed"),
    (b'data: {"error":"CUDA error","error_type":"generation"}\n\n', "failed"),
    (TOKEN + DONE, None),
    (TOKEN + VLLM + DONE, None),
    (b": data: " + VLLM[6:] + TOKEN + DONE, None),
    (b'data: {"id": "a", "error": null, "choices": []}\n\n' + DONE, None),
    (DONE, None),
)
"""Bodies of streams, and what the log says. One that breaks off after its first token is no refusal."""


def cut(body: bytes, size: int) -> Sequence[bytes]:
    return [body[start:end] for start, end in pairwise([*range(0, len(body), size), len(body)])]


def test_the_first_event_says_whether_a_stream_was_refused(tmp_path: Path):
    sizes = (10_000, 7, 40)
    with serving() as engine:
        with running(tmp_path, {"chat": [engine.port]}, LIMIT) as gateway:
            connection = http.client.HTTPConnection(gateway.clients, timeout=20)
            for size in sizes:
                for body, _ in STREAMS:
                    engine.pieces = cut(body, size)
                    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "chat"}), JSON)
                    response = connection.getresponse()
                    # The client sees what the engine said.
                    assert (response.status, response.read()) == (200, body)
            connection.close()
            counts = counted(gateway)
        lines = access_log_lines(tmp_path)
    expected = [outcome for _, outcome in STREAMS] * len(sizes)
    assert [line["outcome"] for line in lines] == expected
    assert counts == Counter(("chat", outcome) for outcome in expected if outcome is not None)

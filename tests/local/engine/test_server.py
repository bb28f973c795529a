from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai
import pytest

from tests.local.engine.conftest import HTTP, Emulator, end, launch, wait_until_serving

HI: list = [{"role": "user", "content": "Say hello."}]


def client(emulator: Emulator) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{emulator.url}/v1", api_key="none", max_retries=0, timeout=20)


def test_the_openai_client_streams_a_chat(emulator: Emulator):
    with client(emulator) as api:
        stream = api.chat.completions.create(
            model="chat", messages=HI, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("This reply is emulated:")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[0].choices[0].delta.role == "assistant"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3 + 5 + 3, 12)


def test_whole_and_streamed_replies_are_the_same_and_depend_on_the_seed(emulator: Emulator):
    with client(emulator) as api:

        def whole(seed: int) -> str:
            reply = api.completions.create(model="chat", prompt="Once", max_tokens=30, seed=seed)
            return reply.choices[0].text

        parts = api.completions.create(model="chat", prompt="Once", max_tokens=30, seed=1, stream=True)
        assert "".join(part.choices[0].text for part in parts) == whole(1)
        assert whole(1) != whole(2)


def test_a_stop_string_ends_a_streamed_reply(emulator: Emulator):
    with client(emulator) as api:
        chunks = list(
            api.completions.create(model="chat", prompt="x", max_tokens=30, stop=[" emul"], stream=True)
        )
        assert "".join(chunk.choices[0].text for chunk in chunks) == "This reply is"
        assert chunks[-1].choices[0].finish_reason == "stop"
        kept = api.completions.create(
            model="chat", prompt="x", stop="emul", extra_body={"include_stop_str_in_output": True}
        )
    assert kept.choices[0].text == "This reply is emul"


def test_a_reply_without_a_limit_ends_by_itself(emulator: Emulator):
    with client(emulator) as api:
        reply = api.chat.completions.create(model="chat", messages=HI)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert 1 <= reply.usage.completion_tokens < 8192


def test_errors_reach_the_client_as_its_own(emulator: Emulator):
    with client(emulator) as api:
        with pytest.raises(openai.NotFoundError, match="The model `other` does not exist"):
            api.chat.completions.create(model="other", messages=HI)
        with pytest.raises(openai.BadRequestError, match="max_model_len=8192"):
            api.chat.completions.create(model="chat", messages=HI, max_tokens=9000)
        with pytest.raises(openai.BadRequestError, match="maximum context length is 8192 tokens"):
            api.completions.create(model="chat", prompt="word " * 10_000)
        assert [model.id for model in api.models.list()] == ["chat"]


def test_tokens_come_as_slowly_as_from_the_gpu(emulator: Emulator):
    step = HTTP.get(f"{emulator.url}/version").json()["step_ms"]["per_step"] / 1000
    began = time.monotonic()
    with client(emulator) as api:
        api.completions.create(model="chat", prompt="x", max_tokens=60)
    assert time.monotonic() - began > 60 * step


def test_a_repeated_prompt_hits_the_prefix_cache(emulator: Emulator):
    before = emulator.metric("vllm:prefix_cache_hits_total")
    with client(emulator) as api:
        for _ in range(2):
            api.completions.create(model="chat", prompt="the same long prompt " * 50, max_tokens=2)
    assert emulator.metric("vllm:prefix_cache_hits_total") - before == 1050 // 64 * 16


def test_a_caller_who_leaves_frees_the_batch(emulator: Emulator):
    refused, ended = refused_completions(emulator), emulator.metric("vllm:request_success_total")
    body = {"prompt": "x", "max_tokens": 8000, "stream": True}
    with HTTP.stream("POST", f"{emulator.url}/v1/completions", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        emulator.wait_for("vllm:num_requests_running", 1)
    emulator.wait_for("vllm:num_requests_running", 0)
    host, port = emulator.url.removeprefix("http://").split(":")
    content = json.dumps({"prompt": "x", "max_tokens": 8000}).encode()
    with socket.create_connection((host, int(port))) as connection:
        head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        emulator.wait_for("vllm:num_requests_running", 1)
    emulator.wait_for("vllm:num_requests_running", 0)
    # vLLM 0.32.0 counts both as 2xx, and in no vllm: metric of requests that ended.
    assert refused_completions(emulator) == refused
    assert emulator.metric("vllm:request_success_total") == ended


def refused_completions(emulator: Emulator) -> list[str]:
    page = HTTP.get(f"{emulator.url}/metrics").text
    start = 'http_requests_total{handler="/v1/completions",method="POST",status="4xx"}'
    return [line for line in page.splitlines() if line.startswith(start)]


def test_metrics_are_plain_text_whatever_is_asked_for(emulator: Emulator):
    openmetrics = "application/openmetrics-text; version=1.0.0"
    answer = HTTP.get(f"{emulator.url}/metrics", headers={"accept": openmetrics})
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "\nvllm:num_requests_waiting{" in answer.text
    assert "# EOF" not in answer.text


def test_it_says_what_it_is(emulator: Emulator):
    facts = HTTP.get(f"{emulator.url}/version").json()
    assert facts["version"] == "0.32.0"
    assert facts["emulator"] is True
    assert facts["timing"] == "estimated"
    log = emulator.log.read_text()
    assert "EMULATOR" in log
    assert "timing     estimated" in log
    assert "cold start scaled by 0" in log


def test_the_port_opens_only_when_the_engine_is_ready(tmp_path: Path):
    starting = launch(tmp_path, EMULATOR_COLD_START_SCALE="0.01")
    try:
        time.sleep(0.4)
        with pytest.raises(httpx.ConnectError):
            HTTP.get(f"{starting.url}/health")
        wait_until_serving(starting)
        log = starting.log.read_text()
        for line in ("set-up", "Loading weights", "torch.compile", "Graph capturing"):
            assert f"{line} took" in log or f"{line} finished in" in log
    finally:
        end(starting)


def test_sigterm_during_the_start_ends_it(tmp_path: Path):
    starting = launch(tmp_path, EMULATOR_COLD_START_SCALE="1")
    try:
        while "cold start" not in starting.log.read_text():
            time.sleep(0.02)
        time.sleep(0.2)
        starting.process.send_signal(signal.SIGTERM)
        assert starting.process.wait(timeout=5) == 0
    finally:
        end(starting)


def test_a_port_in_use_is_found_before_the_long_start(emulator: Emulator):
    environment = {**os.environ, "EMULATOR_LISTEN": emulator.url.removeprefix("http://")}
    finished = subprocess.run(
        [sys.executable, "-m", "local.engine", "Qwen/Qwen3-8B", "--max-model-len", "4k"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert finished.returncode == 1
    assert "refused to start: cannot listen on 127.0.0.1:" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["Qwen/Qwen3-8B", "--no-such-flag"], 2, "unrecognized arguments: --no-such-flag"),
        (["Qwen/Qwen3-8B"], 1, "refused to start: To serve at least one request"),
    ],
)
def test_a_refused_start_is_one_message(arguments: list[str], status: int, message: str):
    finished = subprocess.run(
        [sys.executable, "-m", "local.engine", *arguments], capture_output=True, text=True
    )
    assert finished.returncode == status
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert len(finished.stderr.splitlines()) <= 2

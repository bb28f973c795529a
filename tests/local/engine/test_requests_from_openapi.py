"""Requests made up from docs/openapi.json, through the real gateway to emulated engines of each task.

schemathesis runs as its users run it. Beside its checks, no engine may see a request for a model that it does
not serve: where gateway and engine read a body differently, the engine says that the model does not exist.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.gateway.openapi import PATH
from serving.gateway.served import ServedModel
from tests.local.engine.conftest import Emulator, end, launch, wait_until_serving
from tests.serving.gateway.fuzz.exchange import exchange
from tests.serving.gateway.fuzz.requests import Sent, requests
from tests.serving.gateway.gateway_process import AUTHORIZATION, Gateway, running

LIMIT = 1024 * 1024
TOKEN = AUTHORIZATION["Authorization"]
SHORT = ("--override-generation-config", '{"max_new_tokens": 4}', "--max-model-len", "2048")
CLASSIFIER = '{"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"]}'
ENGINES = {
    "chat": ("Qwen/Qwen3-0.6B", SHORT),
    "embedder": ("Qwen/Qwen3-Embedding-0.6B", ("--max-model-len", "2048")),
    "reranker": ("Qwen/Qwen3-Reranker-0.6B", ("--max-model-len", "2048", "--hf-overrides", CLASSIFIER)),
}
MODELS = (
    ServedModel("chat", "generate"),
    ServedModel("embedder", "embed"),
    ServedModel("reranker", "rerank"),
)
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 60
SEED = 6


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Emulator]]:
    with ExitStack() as stack:
        found: dict[str, Emulator] = {}
        for name, (model, flags) in ENGINES.items():
            folder = tmp_path_factory.mktemp(name)
            found[name] = launch(folder, "--served-model-name", name, *flags, model=model)
            stack.callback(end, found[name])
        for engine in found.values():
            wait_until_serving(engine)
        yield found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, Emulator]) -> Iterator[Gateway]:
    backends = {name: [int(engine.url.rpartition(":")[2])] for name, engine in engines.items()}
    with running(tmp_path_factory.mktemp("gateway"), backends, LIMIT, models=MODELS) as started:
        yield started


def with_names(described: Any) -> Any:
    """The description of this gateway: a made-up name of a model leads nowhere."""
    for methods in described["paths"].values():
        for operation in methods.values():
            if "requestBody" in operation:
                body = operation["requestBody"]["content"]["application/json"]["schema"]
                body["properties"]["model"] = {"enum": [*ENGINES, "no-such-model"]}
            for parameter in operation.get("parameters", []):
                parameter["schema"] = {"enum": [*ENGINES, "no-such-model"]}
    return described


def answers(report: Path) -> list[tuple[int, str]]:
    """Status and body of every answer in a HAR report."""
    entries = json.loads(report.read_text(encoding="utf-8"))["log"]["entries"]
    return [
        (entry["response"]["status"], entry["response"]["content"].get("text") or "") for entry in entries
    ]


@pytest.mark.traffic
@pytest.mark.timeout(240)
def test_the_gateway_is_as_it_is_described(gateway: Gateway, tmp_path: Path):
    described = with_names(json.loads(PATH.read_text(encoding="utf-8")))
    (tmp_path / "openapi.json").write_text(json.dumps(described), encoding="utf-8")
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", str(tmp_path / "openapi.json"),
        "--url", f"http://{gateway.clients}", "--checks", CHECKS, "--phases", "coverage,fuzzing",
        "--header", f"Authorization: {TOKEN}",
        "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color", "--request-timeout", "20",
        "--report", "har", "--report-har-path", str(tmp_path / "report.har"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = answers(tmp_path / "report.har")
    assert not any("Valid aliases" in body or '"detail"' in body for _, body in found)
    answered = sum(status == 200 for status, _ in found)
    print(f"{len(found)} requests, {answered} of them answered by engines")
    assert answered > len(found) / 10


@settings(max_examples=EXAMPLES * 5, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
@given(sent=requests(st.just(TOKEN)))
def test_no_engine_is_asked_for_a_model_of_another(gateway: Gateway, sent: Sent):
    reply = exchange(gateway.clients, sent)
    text = reply.body.decode(errors="replace")
    assert "does not exist. Valid aliases" not in text, (sent, reply)
    assert '"detail"' not in text, (sent, reply)
    assert reply.status is None or reply.status < 500, (sent, reply)

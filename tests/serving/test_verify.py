"""The verification script, run as the Job runs it, against gateways right and wrong in known ways."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.verify import verify
from serving.verify.job import SCRIPT, VerificationArgs, VerifiedModel, fingerprint, job_spec
from tests.serving.contracts import cluster_contract

SERVICE = {"service": "gateway", "namespace": "gateway", "selector": "app.kubernetes.io/name=gateway"}
CHAT: dict[str, Any] = {
    "name": "chat",
    "asked_as": "chat",
    "task": "generate",
    "service": "chat",
    "namespace": "inference",
    "selector": "app.kubernetes.io/name=chat",
    "minimum": 1,
    "when_asleep": "report",
    "startup_seconds": 5,
    "triggers": [],
    "engine_series": [],
}

Answer = tuple[int, bytes]


def openai_error(status: int, code: object, message: str = "no") -> Answer:
    error = {"message": message, "type": "t", "param": None, "code": code}
    return status, json.dumps({"error": error}).encode()


def stream(*contents: str | None, done: bool = True) -> Answer:
    """A streamed reply; None stands for an event without text, such as the first, which names the role."""
    events = [
        {"choices": [{"delta": {"role": "assistant"} if text is None else {"content": text}}]}
        for text in contents
    ]
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + (["data: [DONE]\n\n"] if done else [])
    return 200, "".join(lines).encode()


GOOD = stream(None, "Hel", "lo")
UNKNOWN = openai_error(404, "model_not_found")
METRICS_REFUSED = openai_error(404, "unknown_url")


UNAUTHORIZED = openai_error(401, "invalid_api_key")


def token(expires: float) -> str:
    """Like a token as far as the script reads it; the gateways here know it by heart."""
    return f"header.{base64.urlsafe_b64encode(json.dumps({'exp': expires}).encode()).decode().rstrip('=')}.s"


TOKEN = token(time.time() + 3600)


@contextmanager
def gateway(
    model: Answer | Callable[[], Answer] = GOOD,
    unknown: Answer = UNKNOWN,
    metrics: Answer = METRICS_REFUSED,
    without_token: Answer = UNAUTHORIZED,
    with_garbage: Answer = UNAUTHORIZED,
) -> Iterator[str]:
    """A gateway that answers as told."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert body["stream"] is True
            shown = self.headers.get("Authorization", "")
            if not shown:
                self._answer(without_token)
            elif shown == f"Bearer {verify.GARBAGE_TOKEN}":
                self._answer(with_garbage)
            elif body["model"] == "chat":
                self._answer(model() if callable(model) else model)
            else:
                self._answer(unknown)

        def do_GET(self) -> None:
            assert self.path == "/metrics"
            self._answer(metrics)

        def _answer(self, answer: Answer) -> None:
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(
    address: str,
    seconds: float = 0,
    models: list[Mapping[str, Any]] | None = None,
    prometheus: str = "http://127.0.0.1:1",
    shown: str = TOKEN,
) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.write_text(shown + "\n", encoding="ascii")
        return run_with(file, address, seconds, models, prometheus)


def run_with(
    token_file: Path,
    address: str,
    seconds: float = 0,
    models: list[Mapping[str, Any]] | None = None,
    prometheus: str = "http://127.0.0.1:1",
) -> tuple[int, str, str]:
    environment = {
        "VERIFY_TOKEN_FILE": str(token_file),
        "PATH": os.environ["PATH"],
        "VERIFY_GATEWAY": address,
        "VERIFY_SERVICE": json.dumps(SERVICE),
        "VERIFY_MODELS": json.dumps([CHAT] if models is None else models),
        "VERIFY_PROMETHEUS": prometheus,
        "VERIFY_SECONDS": str(seconds),
    }
    # -I: no site packages, no paths of this checkout; what a bare Python image has.
    command = [sys.executable, "-I", "-S", str(SCRIPT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def failure(address: str) -> str:
    """The only line that a failing run prints."""
    code, out, err = run(address)
    assert code == 1
    assert out == ""
    (line,) = err.splitlines()
    assert "Traceback" not in line
    return line


def test_all_is_well():
    with gateway() as address:
        code, out, err = run(address)
    assert (code, err) == (0, "")
    first, *others = out.splitlines()
    assert first.startswith("model chat: streamed 2 pieces, the first after 0.")
    assert others == [
        "a request without a token: 401",
        "a request with a made-up token: 401",
        "unknown model: 404 in OpenAI's shape",
        "/metrics: refused with 404",
    ]


@pytest.mark.parametrize("answer", [GOOD, UNKNOWN, (403, b"")])
def test_an_open_gateway_is_named(answer: Answer):
    with gateway(without_token=answer) as address:
        line = failure(address)
    assert line.startswith(f"a request without a token: expected 401, got {answer[0]}")
    assert "ConfigMap gateway/gateway-config, listeners.yaml, must have jwt_authn" in line
    with gateway(with_garbage=answer) as address:
        assert failure(address).startswith("a request with a made-up token: expected 401")


@pytest.mark.parametrize(
    ("shown", "advice"),
    [
        pytest.param(
            TOKEN,
            "its key is none that the gateway has: ConfigMap gateway/gateway-config, authentication.yaml",
            id="foreign",
        ),
        pytest.param(
            token(time.time() - 60),
            "it has expired: this is a new attempt at an old run. `kubectl -n gateway delete",
            id="expired",
        ),
        ("no.jwt", "its key is none that the gateway has"),
        ("", "its key is none that the gateway has"),
    ],
)
def test_a_refused_token_says_why_and_is_not_shown(shown: str, advice: str):
    with gateway(model=UNAUTHORIZED) as address:
        code, _, err = run(address, shown=shown)
    assert code == 1
    line = err.splitlines()[0]
    assert line.startswith("model chat: the gateway refuses the token of this Job (no); ")
    assert advice in line
    assert not shown or shown not in err


def test_a_missing_token_names_its_file(tmp_path: Path):
    with gateway() as address:
        code, _, err = run_with(tmp_path / "token", address)
    assert code == 1
    assert err.splitlines()[0].startswith(f"token: {tmp_path}/token cannot be read")
    assert "Traceback" not in err


def test_no_ready_endpoint_names_service_and_label():
    with gateway(model=openai_error(503, "model_unavailable")) as address:
        line = failure(address)
    assert line.startswith(
        "model chat: no ready endpoint: Service inference/chat selects app.kubernetes.io/name=chat"
    )
    assert line.endswith("look: kubectl -n inference get pods -l app.kubernetes.io/name=chat")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            openai_error(404, "model_not_found"),
            "ConfigMap gateway/gateway-config, routes.yaml, has no such model",
        ),
        (openai_error(404, 404), "Deployment inference/chat needs --served-model-name chat"),
        (openai_error(403, "model_not_allowed"), "does not let the token of this Job ask for chat (no)"),
        (openai_error(429, "rate_limit_exceeded"), "the rate limit of the team of this Job's token"),
        (openai_error(500, None, "out of memory"), "status 500: out of memory"),
        ((502, b"<html>bad\ngateway</html>"), "status 502: <html>bad gateway</html>"),
        (stream(None), "the stream ended without a token"),
        (stream("a", done=False), "the stream ended without [DONE]"),
        ((200, b"data: {}\n\n"), "the stream is not OpenAI's"),
        ((200, b"data: not json\n\n"), "the stream is not OpenAI's"),
        ((200, b'data: {"choices": []}\n\n'), "the stream is not OpenAI's"),
        ((200, b""), "the stream ended without a token"),
    ],
)
def test_each_wrong_answer_has_its_line(answer: Answer, expected: str):
    with gateway(model=answer) as address:
        line = failure(address)
    assert line.startswith("model chat: ")
    assert expected in line


@pytest.mark.parametrize("answer", [GOOD, openai_error(404, "other"), (404, b"not found"), (200, b"")])
def test_an_unknown_model_must_be_refused(answer: Answer):
    with gateway(unknown=answer) as address:
        assert failure(address).startswith("unknown model: expected 404 with code model_not_found")


def test_open_metrics_are_named():
    with gateway(metrics=(200, b"vllm:num_requests_running 1")) as address:
        assert "/metrics: expected to be refused, got 200: ConfigMap gateway/gateway-config" in failure(
            address
        )


def test_every_failure_has_its_line():
    with gateway(model=openai_error(503, "model_unavailable"), metrics=(200, b"")) as address:
        code, _, err = run(address)
    assert code == 1
    assert len(err.splitlines()) == 2


def test_a_gateway_that_does_not_answer_names_its_service_and_label():
    code, _, err = run("http://127.0.0.1:1", models=[])
    assert code == 1
    line = err.splitlines()[0]
    assert line.startswith(
        "gateway: Service gateway/gateway does not answer ([Errno 111] Connection refused)"
    )
    assert "no ready pod is labelled app.kubernetes.io/name=gateway; look: kubectl -n gateway get" in line


def test_a_gateway_whose_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "token").write_text(TOKEN, encoding="ascii")
    monkeypatch.setenv("VERIFY_TOKEN_FILE", str(tmp_path / "token"))

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(verify.Failed) as raised:
        verify.check_unknown_model("http://gateway.gateway.svc.cluster.local", SERVICE)
    assert str(raised.value).startswith("gateway: Service gateway/gateway does not resolve; look: kubectl")


def test_a_check_is_repeated_until_it_holds():
    answers = iter([openai_error(503, "model_unavailable"), openai_error(503, "model_unavailable")])
    with gateway(model=lambda: next(answers, GOOD)) as address:
        code, out, _ = run(address, seconds=10)
    assert code == 0
    assert "streamed 2 pieces" in out


def test_repeating_ends():
    began = time.monotonic()
    with gateway(model=openai_error(503, "model_unavailable")) as address:
        code, _, _ = run(address, seconds=2)
    assert code == 1
    assert time.monotonic() - began < 8


def test_the_fingerprint_changes_with_configuration_and_script():
    first = fingerprint(["a"], "script")
    assert first == fingerprint(["a"], "script")
    assert (
        len(
            {
                first,
                fingerprint(["b"], "script"),
                fingerprint(["a"], "other"),
                fingerprint(["a", ""], "script"),
            }
        )
        == 4
    )


def test_the_job_names_what_the_services_are_called():
    models = [VerifiedModel("chat", "chat", "generate", 1, (), (), "report", 5)]
    args = VerificationArgs(cluster=cluster_contract(), models=models, token=lambda: TOKEN, configuration=[])
    spec: Any = job_spec(args, "verify-1")
    environment = {item.name: item.value for item in spec.template.spec.containers[0].env}
    assert json.loads(environment["VERIFY_MODELS"]) == [CHAT]
    assert json.loads(environment["VERIFY_SERVICE"]) == SERVICE


def test_the_token_is_a_file_and_no_variable():
    args = VerificationArgs(cluster=cluster_contract(), models=[], token=lambda: TOKEN, configuration=[])
    spec: Any = job_spec(args, "verify-1")
    (container,) = spec.template.spec.containers
    values = {item.name: item.value for item in container.env}
    assert TOKEN not in json.dumps(values)
    (volume,) = (each for each in spec.template.spec.volumes if each.secret is not None)
    (mount,) = (each for each in container.volume_mounts if each.name == volume.name)
    assert volume.secret.secret_name == "verify-1"
    assert values["VERIFY_TOKEN_FILE"] == f"{mount.mount_path}/token"
    assert mount.read_only

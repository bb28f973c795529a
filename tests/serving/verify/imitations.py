"""A gateway and a Prometheus that answer as told, and the program, started as the Job starts it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from serving.verify.job import PROGRAM
from serving.verify.verifier.gateway import Gateway
from serving.verify.verifier.refusals import GARBAGE_TOKEN
from serving.verify.verifier.settings import Model, Service, Settings, variables
from tests.listening import listening

SERVICE = Service("gateway", "gateway", "app.kubernetes.io/name=gateway")
CHAT = Model(
    name="chat",
    asked_as="chat",
    task="generate",
    tool_parser=None,
    service=Service("chat", "inference", "app.kubernetes.io/name=chat"),
    minimum=1,
    when_asleep="report",
    startup_seconds=5,
    triggers=(),
    engine_series=(),
)
NOBODY = "http://127.0.0.1:1"
"""An address at which nothing listens."""


@dataclass(frozen=True)
class Reply:
    """What a server answers; with headers that promise more than `body`, the answer breaks off."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def openai_error(status: int, code: object, message: str = "no") -> Reply:
    error = {"message": message, "type": "t", "param": None, "code": code}
    return Reply(status, json.dumps({"error": error}).encode())


def stream(*contents: str | None, end: str = "data: [DONE]\n\n") -> Reply:
    """A streamed reply; None stands for an event without text, such as the first, which names the role."""
    events = [
        {"choices": [{"delta": {"role": "assistant"} if text is None else {"content": text}}]}
        for text in contents
    ]
    return Reply(200, ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode())


def token(expires: float) -> str:
    """Like a token as far as the program reads it; the gateways here know it by heart."""
    return f"header.{base64.urlsafe_b64encode(json.dumps({'exp': expires}).encode()).decode().rstrip('=')}.s"


GOOD = stream(None, "Hel", "lo")
UNKNOWN = openai_error(404, "model_not_found")
METRICS_REFUSED = openai_error(404, "unknown_url")
UNAUTHORIZED = openai_error(401, "invalid_api_key")
UNAVAILABLE = openai_error(503, "model_unavailable")
TOKEN = token(time.time() + 3600)


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)


@contextmanager
def _listening(handler: type[_Handler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with listening(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def listing(reply: Reply) -> Iterator[str]:
    """An engine that says what it serves; yields the address to ask."""

    class Engine(_Handler):
        def do_GET(self) -> None:
            self.answer(reply)

    with _listening(Engine) as address:
        yield f"{address}/v1/models"


@dataclass
class Asked:
    """A gateway that listens, and what model `chat` was asked: path and body."""

    address: str
    requests: list[tuple[str, dict[str, Any]]]

    def client(self, folder: Path, shown: str = TOKEN) -> Gateway:
        (folder / "token").write_text(f"{shown}\n", encoding="ascii")
        return Gateway(self.address, SERVICE, str(folder / "token"))


@contextmanager
def gateway(
    model: Reply | Callable[[], Reply] = GOOD,
    unknown: Reply = UNKNOWN,
    metrics: Reply = METRICS_REFUSED,
    without_token: Reply = UNAUTHORIZED,
    with_garbage: Reply = UNAUTHORIZED,
) -> Iterator[Asked]:
    """A gateway that answers as told."""
    asked: list[tuple[str, dict[str, Any]]] = []

    class Handler(_Handler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            shown = self.headers.get("Authorization", "")
            if not shown:
                self.answer(without_token)
            elif shown == f"Bearer {GARBAGE_TOKEN}":
                self.answer(with_garbage)
            elif body["model"] == "chat":
                asked.append((self.path, body))
                self.answer(model() if callable(model) else model)
            else:
                self.answer(unknown)

        def do_GET(self) -> None:
            self.answer(metrics if self.path == "/metrics" else UNKNOWN)

    with _listening(Handler) as address:
        yield Asked(address, asked)


@contextmanager
def prometheus(known: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Address of a Prometheus that has these series; every other query gives none."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["query"][0]
            rows = [{"metric": {}, "value": [0, str(value)]} for value in known.get(asked, [])]
            self.answer(Reply(200, json.dumps({"status": "success", "data": {"result": rows}}).encode()))

    with _listening(Handler) as address:
        yield address


@dataclass(frozen=True)
class Ended:
    """A run of the program that has ended."""

    code: int
    out: str
    err: str

    @property
    def failure(self) -> str:
        """The only line that the run has printed."""
        assert (self.code, self.out) == (1, "")
        (line,) = self.err.splitlines()
        return line


def run(
    address: str,
    models: Sequence[Model] = (CHAT,),
    prometheus: str = NOBODY,
    seconds: int = 0,
    shown: str = TOKEN,
) -> Ended:
    """Runs the program against a gateway with a file that holds the token `shown`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "token")
        file.write_text(shown + "\n", encoding="ascii")
        return run_with(variables(Settings(address, SERVICE, prometheus, tuple(models), str(file), seconds)))


def run_with(environment: Mapping[str, str]) -> Ended:
    """Runs what the ConfigMap holds, and nothing else of this checkout, as a bare Python image would."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, PROGRAM.package.name)
        package.mkdir()
        for name, text in PROGRAM.files.items():
            (package / name).write_text(text, encoding="utf-8")
        # Without the variables PYTHON..., the user's packages and site-packages.
        command = [sys.executable, "-E", "-s", "-S", *PROGRAM.command[1:]]
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)

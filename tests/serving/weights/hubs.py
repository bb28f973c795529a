"""Hubs for tests of the staging program, and the program run as its Job runs it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from serving.weights import job
from serving.weights.layout import MANIFEST
from tests.listening import listening

MODEL = "Qwen/Qwen3-8B"
REVISION = "b968826d9c46dd6066d109eabc6255188de91218"


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    with listening(server):
        yield f"http://127.0.0.1:{server.server_port}"


def item(path: Path, source: str = "hub", model: str = MODEL, revision: str = REVISION) -> dict[str, str]:
    return {"folder": str(path), "id": model, "revision": revision, "source": source}


def start(endpoint: str, *items: dict[str, str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stager"],
        cwd=job.PROGRAM.package.parent,
        env={
            "PATH": os.environ["PATH"],
            "STAGE_ITEMS": json.dumps(items),
            "HUB_ENDPOINT": endpoint,
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """What a stager said until its end."""
    try:
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def run(endpoint: str, *items: dict[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
    return ended(start(endpoint, *items, **environment))


def manifest(path: Path) -> dict[str, Any]:
    return json.loads((path / MANIFEST).read_text())


Reply = Callable[[BaseHTTPRequestHandler], None]


class Misbehaving(ThreadingHTTPServer):
    """A hub with one repository of which every answer is given by the test."""

    daemon_threads = True

    def __init__(self, info: Reply, content: Reply) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                (info if self.path.startswith("/api/") else content)(self)

        super().__init__(("127.0.0.1", 0), Handler)


def send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


WEIGHTS = bytes(range(256)) * 64


def listing(*entries: tuple[str, bytes]) -> Reply:
    siblings = [
        {
            "rfilename": name,
            "size": len(body),
            "blobId": hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest(),
            **(
                {"lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 1}}
                if name.endswith((".safetensors", ".bin"))
                else {}
            ),
        }
        for name, body in entries
    ]
    answer = json.dumps({"sha": REVISION, "siblings": siblings}).encode()
    return lambda handler: send(handler, 200, answer)

"""The imitated hub's HTTP side: the part of the real one's API that a download needs."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local.hub.repository import File, repository

BANNER = (
    "An imitation of the Hugging Face hub on this machine. Its weights are made up: an engine that computes "
    "with them answers nonsense, and only the emulator is meant to.\n"
)
HEADERS = {"X-Imitation": "llm-platform local hub", "Accept-Ranges": "bytes"}

_INFO = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)")
_CONTENT = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_STORED = re.compile(r"/stored/(?P<name>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d+)?")


class Hub(ThreadingHTTPServer):
    """Serves imitated repositories on 127.0.0.1; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "llm-platform-imitated-hub"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        print(f"hub: {format % args}", flush=True)

    def _answer(self, with_body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path == "/":
            self._send(200, BANNER.encode(), {"Content-Type": "text/plain"}, with_body)
        elif found := _INFO.fullmatch(path):
            self._info(found["name"], found["revision"], with_body)
        elif found := _CONTENT.fullmatch(path):
            self._content(found["name"], found["revision"], found["path"], with_body)
        elif found := _STORED.fullmatch(path):
            self._stored(found["name"], found["revision"], found["path"], with_body)
        else:
            self._missing("Not found", "EntryNotFound", with_body)

    def _info(self, name: str, revision: str, with_body: bool) -> None:
        files = self._files(name, revision, with_body)
        if files is not None:
            body = json.dumps(model_info(name, revision, files)).encode()
            self._send(200, body, {"Content-Type": "application/json"}, with_body)

    def _content(self, name: str, revision: str, path: str, with_body: bool) -> None:
        """A small file itself; what is stored elsewhere by a redirect to there, as the hub does it."""
        files = self._files(name, revision, with_body)
        if files is None:
            return
        file = files.get(path)
        if file is None:
            self._missing("Entry not found", "EntryNotFound", with_body)
            return
        headers = {"X-Repo-Commit": revision, "ETag": f'"{file.blob}"'}
        if not file.stored:
            self._send_part(file.content, headers, with_body)
            return
        headers |= {
            "Location": f"/stored/{name}/{revision}/{urllib.parse.quote(path)}",
            "X-Linked-Size": str(len(file.content)),
            "X-Linked-Etag": f'"{file.sha256}"',
        }
        self._send(302, b"", headers, with_body)

    def _stored(self, name: str, revision: str, path: str, with_body: bool) -> None:
        files = self._files(name, revision, with_body)
        if files is not None and path in files:
            self._send_part(files[path].content, {"ETag": f'"{files[path].sha256}"'}, with_body)
        elif files is not None:
            self._missing("Entry not found", "EntryNotFound", with_body)

    def _files(self, name: str, revision: str, with_body: bool) -> Mapping[str, File] | None:
        files = repository(name, revision)
        if files is None:
            message = f"{name} at {revision}: this imitation has the models of sizing/models/data/models.yaml"
            self._missing(message, "RepoNotFound", with_body)
        return files

    def _missing(self, message: str, code: str, with_body: bool) -> None:
        body = json.dumps({"error": message}).encode()
        self._send(404, body, {"X-Error-Code": code, "X-Error-Message": message}, with_body)

    def _send_part(self, content: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, headers, with_body)
            return
        size = len(content)
        first = int(asked["first"])
        last = min(size - 1, int(asked["last"]) if asked["last"] else size - 1)
        if first > last:
            self._send(416, b"", {**headers, "Content-Range": f"bytes */{size}"}, with_body)
            return
        place = f"bytes {first}-{last}/{size}"
        self._send(206, content[first : last + 1], {**headers, "Content-Range": place}, with_body)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def model_info(name: str, revision: str, files: Mapping[str, File]) -> dict[str, object]:
    """What the hub's API says of a model with ?blobs=true, as far as a download needs it."""
    return {
        "id": name,
        "sha": revision,
        "private": False,
        "gated": False,
        "siblings": [_sibling(file) for file in files.values()],
    }


def _sibling(file: File) -> dict[str, object]:
    entry: dict[str, object] = {
        "rfilename": file.path,
        "size": len(file.content),
        "blobId": file.blob,
    }
    if file.stored:
        size = len(file.content)
        entry["lfs"] = {"sha256": file.sha256, "size": size, "pointerSize": len(file.pointer)}
    return entry

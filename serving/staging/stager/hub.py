"""The Hugging Face hub, or a mirror with its API: which files a revision has, and their content."""

from __future__ import annotations

import email.message
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import IO, Any

from .files import File, Interrupted, Refused

REQUEST_SECONDS = 60
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0
"""Doubles with every further failure that brought nothing: 31 s in all."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token goes on to the same host only, and nothing leaves HTTPS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage | email.message.Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if before.scheme == "https" and after.scheme != "https":
            raise Refused(f"{before.hostname} redirects to {after.scheme}://{after.hostname}, without HTTPS")
        # urllib's own types know HTTPMessage only, which a Message is in all that is used.
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        token = req.unredirected_hdrs.get("Authorization")
        if request is not None and token is not None and before.netloc == after.netloc:
            request.add_unredirected_header("Authorization", token)
        return request


class Repository:
    """One repository at one revision on the hub."""

    def __init__(self, endpoint: str, repository: str, revision: str, token: str | None) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.repository = repository
        self.revision = revision
        self._token = token
        self._opener = urllib.request.build_opener(_SameHost())

    def files(self) -> list[File]:
        """Every file of the revision with its size and checksum. Raises Refused or Interrupted."""
        path = f"/api/models/{self.repository}/revision/{self.revision}?blobs=true"
        try:
            answer: dict[str, Any] = json.loads(self._repeated(lambda: self._read(path)))
            found = answer["sha"]
            files = [_file(entry) for entry in answer["siblings"]]
        except (ValueError, LookupError, TypeError):
            raise Refused(f"{self.endpoint} does not answer as the Hugging Face hub does") from None
        if found != self.revision:
            raise Refused(f"{self.repository}: asked for {self.revision}, the hub answered with {found}")
        return files

    def content(self, path: str, begin: int) -> Any:
        """The answer with a file's content from byte `begin` on; with status 206 unless it is sent whole."""
        headers = {"Range": f"bytes={begin}-"} if begin > 0 else {}
        return self._open(f"/{self.repository}/resolve/{self.revision}/{urllib.parse.quote(path)}", headers)

    def _read(self, path: str) -> bytes:
        with closing(self._open(path, {})) as answer:
            return answer.read()

    def _open(self, path: str, headers: dict[str, str]) -> Any:
        """The answer to a request. Raises Refused for what no repetition changes, and OSError."""
        request = urllib.request.Request(
            f"{self.endpoint}{path}", headers={"User-Agent": "llm-platform-staging", **headers}
        )
        if self._token is not None:
            # urllib would send an ordinary header on to the store that the hub redirects to.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            return self._opener.open(request, timeout=REQUEST_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                said = error.headers.get("X-Error-Message") or error.reason
            if error.code in (401, 403):
                have = "the token does not open it" if self._token else "a gated model needs a token"
                raise Refused(
                    f"{self.repository}: {error.code} {said}: {have}: see docs/weights.md"
                ) from None
            if error.code == 404:
                raise Refused(
                    f"{self.repository} at {self.revision} is not on {self.endpoint}: {said}"
                ) from None
            raise

    def _repeated(self, action: Callable[[], bytes]) -> bytes:
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS - 1:
                    raise Interrupted(f"{self.repository}: {self.endpoint}: {reason(error)}") from None
            pause(attempt)
        raise AssertionError("unreachable")


def pause(failures: int) -> None:
    """Waits after this many failures in a row that were not the first."""
    time.sleep(FIRST_PAUSE_SECONDS * 2**failures)


def reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _file(entry: dict[str, Any]) -> File:
    stored = entry.get("lfs")
    return File(
        path=entry["rfilename"],
        size=entry["size"] if stored is None else stored["size"],
        sha256=None if stored is None else stored["sha256"],
        blob=entry["blobId"] if stored is None else None,
    )

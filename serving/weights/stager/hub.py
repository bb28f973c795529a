"""The Hugging Face hub, or a mirror with its API: which files a revision has, and their content."""

from __future__ import annotations

import email.message
import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import IO, Any

from .files import File, Interrupted, Refused, shown
from .listing import MAX_LISTING_BYTES, NotAListing, listed

REQUEST_SECONDS = 60
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0
"""Doubles with every further failure that brought nothing: 31 s in all."""

RANGE_NOT_SATISFIABLE = 416
PASSING = (408, 425, 429, RANGE_NOT_SATISFIABLE)
"""The client errors that another try may not meet: timeouts, too early, too many requests, and a range beyond
what the server has, after which all of it is asked for."""


class Broken(Exception):
    """A transfer ended before its end; the message says why, on one line."""


class OtherLength(Exception):
    """The server says that a file has another length than the listing."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token goes on to the same host only, and nothing leaves HTTPS."""

    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            # An address that is none: the library leaves the answer open then.
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

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
        if after.scheme not in ("http", "https") or (before.scheme, after.scheme) == ("https", "http"):
            fp.close()
            raise Refused(
                f"{before.hostname} redirects to {shown(f'{after.scheme}://{after.hostname}')}, without HTTPS"
            )
        # urllib's own types know HTTPMessage only, which a Message is in all that is used.
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        token = req.unredirected_hdrs.get("Authorization")
        if request is not None and token is not None and before.netloc == after.netloc:
            request.add_unredirected_header("Authorization", token)
        return request


class Answer:
    """The content of a file from byte `begin` on, as the server sends it."""

    def __init__(self, answer: Any, begin: int) -> None:
        self._answer = answer
        self.begin = begin

    def read(self, count: int) -> bytes:
        """Some bytes, at the end none. Raises Broken."""
        try:
            block: bytes = self._answer.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(reason(error)) from None
        return block

    def close(self) -> None:
        self._answer.close()


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
        text = self._repeated(lambda: self._read(path))
        try:
            found, files = listed(text)
        except NotAListing as problem:
            raise Refused(
                f"{self.endpoint} does not answer as the Hugging Face hub does: {self.repository}: {problem}"
            ) from None
        if found != self.revision:
            raise Refused(
                f"{self.repository}: asked for {self.revision}, the hub answered with {shown(found)}"
            )
        return files

    def content(self, file: File, begin: int) -> Answer:
        """The file's content from byte `begin` on, or from 0 on if the server sends it whole.

        Raises Refused, Broken, and OtherLength before a byte is read.
        """
        path = f"/{self.repository}/resolve/{self.revision}/{urllib.parse.quote(file.path)}"
        try:
            answer = self._open(path, {"Range": f"bytes={begin}-"} if begin > 0 else {})
            if begin > 0 and answer.status != http.client.PARTIAL_CONTENT:
                begin = 0
        except urllib.error.HTTPError as error:
            if error.code != RANGE_NOT_SATISFIABLE:
                raise Broken(reason(error)) from None
            answer, begin = self._whole(path), 0
        except (OSError, http.client.HTTPException) as error:
            raise Broken(reason(error)) from None
        size = _announced(answer, begin)
        if size is not None and size != file.size:
            answer.close()
            raise OtherLength(size)
        return Answer(answer, begin)

    def _whole(self, path: str) -> Any:
        try:
            return self._open(path, {})
        except (OSError, http.client.HTTPException) as error:
            raise Broken(reason(error)) from None

    def _read(self, path: str) -> bytes:
        with closing(self._open(path, {})) as answer:
            text: bytes = answer.read(MAX_LISTING_BYTES + 1)
            length = _announced(answer, 0)
            if length is not None and len(text) < min(length, MAX_LISTING_BYTES):
                raise http.client.IncompleteRead(text, length - len(text))
            return text

    def _open(self, path: str, headers: dict[str, str]) -> Any:
        """The answer to a request.

        Raises Refused for what no repetition changes, OSError and HTTPException.
        """
        try:
            if urllib.parse.urlsplit(self.endpoint).scheme not in ("http", "https"):
                raise ValueError("the address of a hub begins with https:// or http://")
            request = urllib.request.Request(
                f"{self.endpoint}{path}", headers={"User-Agent": "llm-platform-staging", **headers}
            )
            if self._token is not None:
                # urllib would send an ordinary header on to the store that the hub redirects to.
                request.add_unredirected_header("Authorization", f"Bearer {self._token}")
            return self._opener.open(request, timeout=REQUEST_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                said = shown(error.headers.get("X-Error-Message") or error.reason)
            if error.code in (401, 403):
                have = "the token does not open it" if self._token else "a gated model needs a token"
                raise Refused(
                    f"{self.repository}: {error.code} {said}: {have}: see docs/weights.md"
                ) from None
            if error.code == 404:
                raise Refused(
                    f"{self.repository} at {self.revision} is not on {self.endpoint}: {said}"
                ) from None
            if error.code < 500 and error.code not in PASSING:
                raise Refused(f"{self.repository}: {self.endpoint}: status {error.code}: {said}") from None
            raise
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._untrusted(error.reason) from None
            raise
        except (ValueError, http.client.InvalidURL) as error:
            # An address that no request can be made of: the endpoint's own, or one that it redirects to.
            raise Refused(f"{self.repository}: {self.endpoint}: {shown(error)}") from None

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> Refused:
        return Refused(f"{self.endpoint}: its certificate is not trusted: {shown(error.verify_message)}")

    def _repeated(self, action: Callable[[], bytes]) -> bytes:
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS - 1:
                    raise Interrupted(f"{self.repository}: {self.endpoint}: {reason(error)}") from None
            pause(attempt)
        raise AssertionError("unreachable")


def _announced(answer: Any, begin: int) -> int | None:
    """The whole file's length as the server's headers give it; None if they do not."""
    if begin > 0:
        total = str(answer.headers.get("Content-Range") or "").rpartition("/")[2]
        if total.isascii() and total.isdigit():
            return int(total[:20])
    length = str(answer.headers.get("Content-Length") or "")
    return begin + int(length[:20]) if length.isascii() and length.isdigit() else None


def pause(failures: int) -> None:
    """Waits after this many failures in a row that were not the first."""
    time.sleep(FIRST_PAUSE_SECONDS * 2**failures)


def reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    if isinstance(error, urllib.error.URLError):
        return shown(error.reason)
    return shown(error) or type(error).__name__

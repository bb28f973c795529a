"""One JSON line per request: who asked what, how it ended, how long it took. Never a prompt or a token.

The path is logged without its query, which may hold what does not belong into a log. How many tokens an
answer took is known if the engine says so and the client reads to the end (answer_tokens.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from serving.gateway.answer_tokens import TOKENS
from serving.gateway.authentication import CLAIMS, TOKEN_METADATA
from serving.gateway.documents import Document, typed
from serving.gateway.metadata import METADATA, MODEL
from serving.gateway.request_id import CLIENT_ID, CLIENT_ID_CHARACTERS, REQUEST_ID
from serving.gateway.tries import OUTCOME

PATH_CHARACTERS = 256
"""What of a path is logged: the longest that leads to a model is that of one name, at most 96 characters."""

FIELDS: Mapping[str, str] = {
    "time": "%START_TIME%",
    "request_id": REQUEST_ID,
    "client_request_id": f"%DYNAMIC_METADATA({METADATA}:{CLIENT_ID}):{CLIENT_ID_CHARACTERS}%",
    "method": "%REQ(:METHOD)%",
    "path": f"%PATH(NQ):{PATH_CHARACTERS}%",
    "model": f"%DYNAMIC_METADATA({METADATA}:{MODEL})%",
    "team": f"%DYNAMIC_METADATA({TOKEN_METADATA}:{CLAIMS}:sub)%",
    "jti": f"%DYNAMIC_METADATA({TOKEN_METADATA}:{CLAIMS}:jti)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    # Why no engine answered, or that it refused in a stream (outcomes.py).
    "outcome": f"%DYNAMIC_METADATA({METADATA}:{OUTCOME})%",
    "milliseconds": "%DURATION%",
    # From the first byte of the request to the first byte of the answer's body, which is its first token.
    "ttft_milliseconds": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "prompt_tokens": f"%DYNAMIC_METADATA({METADATA}:{TOKENS}:prompt)%",
    "completion_tokens": f"%DYNAMIC_METADATA({METADATA}:{TOKENS}:completion)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "upstream": "%UPSTREAM_HOST%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}
"""Name in the line, and Envoy's expression for it; what a request does not have is null."""


def access_log() -> Document:
    """The log for the listener."""
    form = {"json_format": dict(FIELDS)}
    log = typed("extensions.access_loggers.stream.v3.StdoutAccessLog", log_format=form)
    return {"name": "envoy.access_loggers.stdout", "typed_config": log}

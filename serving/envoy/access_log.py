"""One JSON line per request: who asked what, how it ended, how long it took. Never a prompt or a token.

The path is logged without its query, which may hold what does not belong into a log.
"""

from __future__ import annotations

from collections.abc import Mapping

from serving.envoy.authentication import CLAIMS, TOKEN_METADATA
from serving.envoy.documents import Document, typed
from serving.envoy.metadata import METADATA, MODEL

USAGE = f"{METADATA}.usage"
"""Dynamic metadata with the tokens that a stream says it used."""

FIELDS: Mapping[str, str] = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "model": f"%DYNAMIC_METADATA({METADATA}:{MODEL})%",
    "team": f"%DYNAMIC_METADATA({TOKEN_METADATA}:{CLAIMS}:sub)%",
    "jti": f"%DYNAMIC_METADATA({TOKEN_METADATA}:{CLAIMS}:jti)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "milliseconds": "%DURATION%",
    # From the first byte of the request to the first byte of the answer's body, which is its first token.
    "ttft_milliseconds": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "prompt_tokens": f"%DYNAMIC_METADATA({USAGE}:prompt_tokens)%",
    "completion_tokens": f"%DYNAMIC_METADATA({USAGE}:completion_tokens)%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "upstream": "%UPSTREAM_HOST%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}
"""Name in the line, and Envoy's expression for it; what a request does not have is null."""

COUNTS = ("prompt_tokens", "completion_tokens")


def access_log() -> Document:
    """The log for the listener."""
    form = {"json_format": dict(FIELDS)}
    log = typed("extensions.access_loggers.stream.v3.StdoutAccessLog", log_format=form)
    return {"name": "envoy.access_loggers.stdout", "typed_config": log}


def usage_filter() -> Document:
    """The filter for the listener that reads `usage` in streams as they pass; it holds nothing back.

    Clients get it with `stream_options: {"include_usage": true}`. Answers that are no streams are not read:
    Envoy has a filter for them, but it collects each answer whole.
    """
    rules = [
        {
            "rule": {
                "selectors": [{"key": "usage"}, {"key": count}],
                "on_present": {"metadata_namespace": USAGE, "key": count, "type": "NUMBER"},
            }
        }
        for count in COUNTS
    ]
    parser = typed("extensions.content_parsers.json.v3.JsonContentParser", rules=rules)
    return {
        "name": "envoy.filters.http.sse_to_metadata",
        "typed_config": typed(
            "extensions.filters.http.sse_to_metadata.v3.SseToMetadata",
            response_rules={"content_parser": {"name": "envoy.content_parsers.json", "typed_config": parser}},
        ),
    }

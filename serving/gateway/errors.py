"""Every error that Envoy itself answers with, in OpenAI's shape.

The first mapper that fits is used. Messages are for whoever reads them in a client's log: what is wrong, and
what to do. What a client sent is not repeated, but for the model's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from serving.gateway.authentication import CLAIMS, TOKEN_METADATA
from serving.gateway.documents import Document, typed
from serving.gateway.metadata import METADATA, MODEL, OVER_PLACES, OVER_SHARE
from serving.gateway.paths import MODELS_PATH
from serving.gateway.request_id import made_up_id
from serving.gateway.tries import FULL, LOOK, LOOKED_AT, OUTCOME
from serving.gateway.upload_limit import BODY_SECONDS

ERROR_METADATA = "llm-platform.error"
"""Metadata of a route that refuses: `code` and `param` of the error it answers with."""

MAX_HEADERS = 100
MAX_HEADERS_KIB = 60
"""What Envoy accepts unless told otherwise."""

HOW_TO_ASK = "Pass a token of this stack as API key (Authorization: Bearer ...); `make token` makes one."
"""End of each 401."""

RETRY_AFTER_SECONDS = 5
"""What a client is told to wait after 429, and after 503 while replicas exist; OpenAI's clients do."""

BROKE_OFF_MESSAGE = (
    "The engine that had this request closed the connection before it answered, or did not begin to answer "
    "in time; so did the other replica that was tried, if there is one. The gateway does not try again, "
    "because the request itself may be what stops an engine."
)

BROKE_OFF = json.dumps(
    {
        "error": {
            "message": BROKE_OFF_MESSAGE,
            "type": "server_error",
            "param": None,
            "code": "engine_connection_broken",
        }
    }
)
"""Body of the answer to a request that was delivered and broke off."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

NOT_AGAIN: Mapping[str, str] = {"x-should-retry": "false"}
"""OpenAI's clients (Python 2.54, Node) try 502 again unless an answer says this."""

WAKE_RETRY_AFTER_SECONDS = 30
"""What a client is told to wait when the model has no replica at all: it sleeps, or its first one starts.

OpenAI's Python client waits as it is told (up to 60 s in older versions, 120 s in newer ones) and tries
twice more, so its own retries cover 60 s: about twice what a wake-up takes on the local cluster. A cold
start on a cloud takes 6 to 16 minutes (docs/capacity.md): clients of models that sleep there set
`max_retries=32`, which covers 16 minutes. A longer wait would save requests and cost each client more once
the model is up: half of the wait on average.
"""


def error_replies() -> Document:
    """`local_reply_config`: every error that Envoy itself answers with, in OpenAI's shape."""
    model = f"'%DYNAMIC_METADATA({METADATA}:model)%'"
    asleep = (
        f"No replica of model {model} is ready: one is started when requests arrive. "
        f"Try again in {WAKE_RETRY_AFTER_SECONDS} s."
    )
    full = f"The queues of all replicas of {model} are full. Try again shortly."
    # Read by the script for answers, which knows how the tries before ended, and removed by it.
    tries = {LOOK: f"{LOOKED_AT} %RESPONSE_FLAGS%"}
    unavailable = f"No replica of model {model} can answer now. Try again shortly."
    route_code = f"%METADATA(ROUTE:{ERROR_METADATA}:code)%"
    return {
        "mappers": [
            *_refused_by_protocol(),
            # UH: the model's Service has no ready address.
            _reply(
                {"response_flag_filter": {"flags": ["UH"]}},
                "server_error",
                "model_unavailable",
                asleep,
                retry_after=WAKE_RETRY_AFTER_SECONDS,
                headers=tries,
            ),
            _reply(
                _status("EQ", 401),
                "authentication_error",
                "invalid_api_key",
                f"%LOCAL_REPLY_BODY%. {HOW_TO_ASK}",
            ),
            _reply(
                _known(403, METADATA, MODEL),
                "permission_error",
                "permission_denied",
                f"The token does not allow the model {model}. GET {MODELS_PATH} lists what it allows; "
                f"`make token` makes one for more.",
            ),
            _no_key(
                _known(403, TOKEN_METADATA, CLAIMS),
                "The token is revoked, or one of its claims sub, jti, exp and models is missing or not as "
                "`make token` writes it.",
            ),
            _no_key(_status("EQ", 403), "The token is for another stack."),
            _reply(
                _status("EQ", 413),
                "invalid_request_error",
                "request_too_large",
                "The request body is too large.",
            ),
            _reply(
                _known(429, METADATA, OVER_PLACES),
                "rate_limit_error",
                "concurrency_limit_exceeded",
                f"The team of this token has as many requests waiting or running at model {model} as it may. "
                f"Send the next one when one is answered, or try again in {RETRY_AFTER_SECONDS} s.",
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(
                _known(429, METADATA, OVER_SHARE),
                "rate_limit_error",
                "rate_limit_exceeded",
                "Unanswered bodies without Content-Length of this team fill its share of memory. "
                f"Send Content-Length, or try again in {RETRY_AFTER_SECONDS} s.",
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(
                _status("EQ", 429),
                "rate_limit_error",
                "rate_limit_exceeded",
                "The team of this token asks more often, or sends more, than it may. "
                f"Try again in {RETRY_AFTER_SECONDS} s.",
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(
                _known(502, METADATA, MODEL),
                "server_error",
                "engine_connection_broken",
                BROKE_OFF_MESSAGE,
                headers=NOT_AGAIN,
            ),
            _reply(
                _known(503, METADATA, OUTCOME, FULL),
                "server_error",
                "model_unavailable",
                full,
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(
                _known(503, METADATA, MODEL),
                "server_error",
                "model_unavailable",
                unavailable,
                retry_after=RETRY_AFTER_SECONDS,
                headers=tries,
            ),
            # The overload manager (bootstrap.py) answers before the body is read: no model is known.
            _reply(
                _status("EQ", 503),
                "server_error",
                "overloaded",
                f"The gateway has no memory for another request. Try again in {RETRY_AFTER_SECONDS} s.",
                retry_after=RETRY_AFTER_SECONDS,
            ),
            # CONNECT with a body, and framings that HTTP/1.1 has in theory: no fault of the server.
            {
                **_reply(
                    _status("EQ", 501),
                    "invalid_request_error",
                    "not_supported",
                    "Not supported: CONNECT, and bodies that are neither chunked nor of a given length.",
                ),
                "status_code": 400,
            },
            _reply(_status("GE", 500), "server_error", "internal_error"),
            _reply(
                _status("GE", 400),
                "invalid_request_error",
                route_code,
                param=f"%METADATA(ROUTE:{ERROR_METADATA}:param)%",
            ),
        ]
    }


def _refused_by_protocol() -> Iterator[Document]:
    """What no filter has seen. Envoy says little of these, and in most of them knows no header yet."""
    invalid = "invalid_request_error"
    # An upgrade is refused with 403, which must not be taken for one of a token.
    upgrade = {"and_filter": {"filters": [_status("EQ", 403), _header("upgrade", present=True)]}}
    refused = _reply(upgrade, invalid, "not_supported", "Upgrades are not supported: leave out the header.")
    yield {**refused, "status_code": 400}
    # Of these Envoy says nothing to the client, and may have changed the path already.
    path = typed(
        "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression="response.code_details == 'path_normalization_failed'",
    )
    yield _reply(
        {"extension_filter": {"name": "path", "typed_config": path}},
        invalid,
        "invalid_path",
        "The path has a NUL or a fragment (#): write it as it is documented.",
    )
    yield _reply(
        _status("EQ", 408),
        invalid,
        "request_timeout",
        f"The request did not arrive in time: its headers have 10 s, its body {BODY_SECONDS} s.",
    )
    yield _reply(
        _status("EQ", 431),
        invalid,
        "headers_too_large",
        f"Too many or too long headers: {MAX_HEADERS} of {MAX_HEADERS_KIB} KiB together are accepted.",
    )
    yield _reply(
        {"and_filter": {"filters": [_status("EQ", 400), _header(":authority", present=False)]}},
        invalid,
        "invalid_http",
        "Not a valid HTTP request: look at its first line, its Host header, the names of other headers "
        "and how its body is framed.",
    )


def _header(name: str, present: bool) -> Document:
    """Picks the replies to requests that have this header, or have it not."""
    return {"header_filter": {"header": {"name": name, "present_match": True, "invert_match": not present}}}


def _no_key(picked: Document, message: str) -> Document:
    """Envoy says 403 to some tokens that open nothing; clients expect 401."""
    reply = _reply(picked, "authentication_error", "invalid_api_key", f"{message} {HOW_TO_ASK}")
    return {**reply, "status_code": 401}


def _known(status: int, namespace: str, key: str, value: str | None = None) -> Document:
    """Picks the replies with this status once this metadata of the request is known, or has this value."""
    expected = {"present_match": True} if value is None else {"string_match": {"exact": value}}
    known = {"filter": namespace, "path": [{"key": key}], "value": expected}
    # Envoy counts what is missing as matched unless told otherwise.
    metadata = {"metadata_filter": {"matcher": known, "match_if_key_not_found": False}}
    return {"and_filter": {"filters": [_status("EQ", status), metadata]}}


def _status(operator: str, status: int) -> Document:
    """Picks the replies whose status compares with `status`."""
    # The runtime key is mandatory in Envoy's API and allows a change by hand; nothing sets it.
    value = {"default_value": status, "runtime_key": f"local_reply.{operator.lower()}_{status}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _reply(
    picked: Document,
    error_type: str,
    code: str,
    message: str = "%LOCAL_REPLY_BODY%",
    retry_after: int | None = None,
    param: str | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Document:
    """Shape of the errors that `picked` picks; the first mapper that fits is used."""
    error = {
        "message": message,
        "type": error_type,
        "param": param,
        "code": code,
    }
    added = {**({} if retry_after is None else {"retry-after": str(retry_after)}), **headers}
    return {
        "filter": picked,
        "body_format_override": {"json_format": {"error": error}},
        "headers_to_add": [
            made_up_id(),
            *({"header": {"key": key, "value": value}} for key, value in added.items()),
        ],
    }

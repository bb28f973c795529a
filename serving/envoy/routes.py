"""Which request goes where: the allow-list of paths, routing by `model`, and every error in OpenAI's shape.

A request passes only if its path, method and body are all understood; whatever is not is answered here and
never reaches an engine, whose own API has unprotected paths (/metrics, /tokenize, /pause).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from serving.envoy.arrivals import count_as
from serving.envoy.documents import Document, discovery, typed

ROUTES = "gateway"
"""Name of the route configuration, by which the listener asks for it."""

MODELS_PATH = "/v1/models"
COMPLETION_PATHS = ("/v1/chat/completions", "/v1/completions")

METADATA = "llm-platform"
"""Dynamic metadata of a request: `model` from its body."""

ERROR_METADATA = "llm-platform.error"
"""Metadata of a route that refuses: `code` and `param` of the error it answers with."""

RETRIES = 3
RETRY_AFTER_SECONDS = 5
"""What a client is told to wait after 429, and after 503 while replicas exist; OpenAI's clients do."""

WAKE_RETRY_AFTER_SECONDS = 30
"""What a client is told to wait when the model has no replica at all: it sleeps, or its first one starts.

OpenAI's Python client waits as it is told (up to 60 s in older versions, 120 s in newer ones) and tries
twice more, so its own retries cover 60 s: about twice what a wake-up takes on the local cluster. A cold
start on a cloud takes 6 to 16 minutes (docs/capacity.md): clients of models that sleep there set
`max_retries=32`, which covers 16 minutes. A longer wait would save requests and cost each client more once
the model is up: half of the wait on average.
"""


def route_configuration(models: Sequence[str], max_request_bytes: int) -> Document:
    """The discovery document with all routes."""
    return discovery(
        typed(
            "config.route.v3.RouteConfiguration",
            name=ROUTES,
            # The list of models is answered from here; Envoy's default of 4 KiB holds about 40 of them.
            max_direct_response_body_size_bytes=1024 * 1024,
            virtual_hosts=[
                {
                    "name": "openai",
                    "domains": ["*"],
                    # The client's key and cookies are the gateway's business, not the engine's.
                    "request_headers_to_remove": ["authorization", "cookie"],
                    # A request can be sent again only while its body is kept; all of it is.
                    "request_body_buffer_limit": max_request_bytes,
                    "routes": [
                        *_model_list(models),
                        *(_model_route(model) for model in models),
                        _refusal(
                            _post(present=True),
                            404,
                            "The model '%DYNAMIC_METADATA(llm-platform:model)%' does not exist. "
                            f"GET {MODELS_PATH} lists the models.",
                            code="model_not_found",
                            param="model",
                        ),
                        _refusal(
                            _post(),
                            400,
                            "The body must be JSON with a string 'model' (Content-Type: application/json).",
                            code="invalid_body",
                            param="model",
                        ),
                        _refusal(
                            {"safe_regex": {"regex": _any_of(*COMPLETION_PATHS, MODELS_PATH)}},
                            405,
                            f"Use POST for {' and '.join(COMPLETION_PATHS)}, GET for {MODELS_PATH}.",
                            code="method_not_allowed",
                        ),
                        _refusal(
                            {"prefix": "/"},
                            404,
                            f"Unknown path. Served here: {', '.join((*COMPLETION_PATHS, MODELS_PATH))}.",
                            code="unknown_url",
                        ),
                    ],
                }
            ],
        )
    )


def _any_of(*paths: str) -> str:
    return f"({'|'.join(path.replace('.', '[.]') for path in paths)})"


def _method(method: str) -> Document:
    return {"name": ":method", "string_match": {"exact": method}}


def _post(model: str | None = None, present: bool = False) -> Document:
    """Match of a completion request: for one model, for any model at all, or whatever its body says."""
    match: dict[str, object] = {
        "safe_regex": {"regex": _any_of(*COMPLETION_PATHS)},
        "headers": [_method("POST")],
    }
    if model is not None or present:
        value = {"present_match": True} if model is None else {"string_match": {"exact": model}}
        match["dynamic_metadata"] = [{"filter": METADATA, "path": [{"key": "model"}], "value": value}]
    return match


def _model_list(models: Sequence[str]) -> list[Document]:
    """`GET /v1/models` and `GET /v1/models/<name>`, answered by the gateway itself."""
    # OpenAI's clients demand `created`; a time here would change the configuration on every run.
    entries = [{"id": model, "object": "model", "created": 0, "owned_by": "llm-platform"} for model in models]
    answers = {MODELS_PATH: {"object": "list", "data": entries}}
    answers.update({f"{MODELS_PATH}/{entry['id']}": entry for entry in entries})
    return [
        {
            "match": {"path": path, "headers": [_method("GET")]},
            "direct_response": {"status": 200, "body": {"inline_string": json.dumps(answer)}},
            "response_headers_to_add": [
                {
                    "header": {"key": "content-type", "value": "application/json"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
        for path, answer in answers.items()
    ]


def _model_route(model: str) -> Document:
    return {
        "match": _post(model),
        "typed_per_filter_config": count_as(model),
        "route": {
            "cluster": model,
            # A generation may take minutes and be silent for long: the engine bounds it, not the gateway.
            "timeout": "0s",
            "idle_timeout": "0s",
            "retry_policy": {
                # All of these happen before the first byte of an answer; a broken stream is not repeated.
                "retry_on": "connect-failure,refused-stream,reset",
                "num_retries": RETRIES,
                "retry_back_off": {"base_interval": "0.05s", "max_interval": "1s"},
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": typed(
                            "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        ),
                    }
                ],
                "host_selection_retry_max_attempts": RETRIES,
            },
        },
    }


def _refusal(
    match: Mapping[str, object], status: int, message: str, code: str, param: str | None = None
) -> Document:
    """A route that answers with an error; error_replies() puts it into OpenAI's shape."""
    details = {"code": code} if param is None else {"code": code, "param": param}
    return {
        "match": match,
        "metadata": {"filter_metadata": {ERROR_METADATA: details}},
        "direct_response": {
            "status": status,
            "body_format": {"text_format_source": {"inline_string": message}},
        },
    }


def error_replies() -> Document:
    """`local_reply_config`: every error that Envoy itself answers with, in OpenAI's shape."""
    model = f"'%DYNAMIC_METADATA({METADATA}:model)%'"
    asleep = (
        f"No replica of model {model} is ready: one is started when requests arrive. "
        f"Try again in {WAKE_RETRY_AFTER_SECONDS} s."
    )
    unavailable = f"No replica of model {model} can answer now. Try again shortly."
    route_code = f"%METADATA(ROUTE:{ERROR_METADATA}:code)%"
    return {
        "mappers": [
            # UH: the model's Service has no ready address.
            _reply(
                {"response_flag_filter": {"flags": ["UH"]}},
                "server_error",
                "model_unavailable",
                asleep,
                retry_after=WAKE_RETRY_AFTER_SECONDS,
            ),
            _reply(_status("EQ", 401), "authentication_error", "invalid_api_key"),
            _reply(_status("EQ", 403), "permission_error", "permission_denied"),
            _reply(
                _status("EQ", 413),
                "invalid_request_error",
                "request_too_large",
                "The request body is too large.",
            ),
            _reply(
                _status("EQ", 429),
                "rate_limit_error",
                "rate_limit_exceeded",
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(
                _status("EQ", 503),
                "server_error",
                "model_unavailable",
                unavailable,
                retry_after=RETRY_AFTER_SECONDS,
            ),
            _reply(_status("GE", 500), "server_error", "internal_error"),
            _reply(_status("GE", 400), "invalid_request_error", route_code),
        ]
    }


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
) -> Document:
    """Shape of the errors that `picked` picks; the first mapper that fits is used."""
    error = {
        "message": message,
        "type": error_type,
        "param": f"%METADATA(ROUTE:{ERROR_METADATA}:param)%",
        "code": code,
    }
    mapper: dict[str, object] = {
        "filter": picked,
        "body_format_override": {"json_format": {"error": error}},
    }
    if retry_after is not None:
        mapper["headers_to_add"] = [{"header": {"key": "retry-after", "value": str(retry_after)}}]
    return mapper

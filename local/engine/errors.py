"""Errors in the shape that vLLM gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import Response

MAX_REPORTED = 10
MAX_INPUT_CHARACTERS = 200
"""vLLM 0.32 reports at most ten problems and cuts what was sent, so that an answer is no larger than its
cause."""


BRACKETS = re.compile(r"[\[\](){}]")
KINDS = frozenset(
    {"str", "int", "float", "bool", "bytes", "list", "tuple", "dict", "set", "none", "nullable"}
)


class ApiError(Exception):
    """An answer with an error status. `kind` is the `type` of OpenAI's error object."""

    def __init__(self, status: int, kind: str, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.parameter = parameter

    @property
    def body(self) -> dict[str, object]:
        fields = {"message": self.message, "type": self.kind, "param": self.parameter, "code": self.status}
        return {"error": fields}

    def response(self) -> Response:
        return json_response(self.body, self.status)

    def event(self) -> bytes:
        """In a stream that has begun. With spaces, as vLLM 0.32.0 writes only this event; so does 0.33.0,
        but for chat, where there are none."""
        return f"data: {json.dumps(self.body)}\n\n".encode()


def json_response(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def bad_request(message: str, parameter: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, parameter)


def bad_value(message: str, parameter: str, value: object) -> ApiError:
    """A parameter out of its range; vLLM appends its name and value to the message."""
    return bad_request(f"{message} (parameter={parameter}, value={value})", parameter)


def not_emulated(parameter: str, reason: str) -> ApiError:
    """Something that vLLM can do and the emulator cannot."""
    return bad_request(f"The vLLM emulator does not support {parameter}: {reason}", parameter)


def unknown_model(name: str, served: Sequence[str]) -> ApiError:
    message = f"The model `{name}` does not exist. Valid aliases: {', '.join(served)}."
    return ApiError(404, "NotFoundError", message, "model")


def queue_full(bound: str) -> ApiError:
    reason = {
        "max_num_queued_reqs": "The engine is currently busy and cannot accept new requests.",
        "max_num_queued_tokens": "The engine has reached its prefill token backlog limit.",
    }[bound]
    return ApiError(
        503, "Service Unavailable", f"{reason} Please try again later or on a different instance."
    )


def shutting_down() -> ApiError:
    """vLLM 0.32 answers this, in these words, between SIGTERM and the end of its last request."""
    return ApiError(500, "InternalServerError", "cannot schedule new futures after shutdown")


def engine_dead() -> ApiError:
    """What vLLM 0.32.0 answers when the process that computes has died. 0.33.0 says instead "The server had
    an error while processing your request."."""
    return ApiError(
        500,
        "InternalServerError",
        "EngineCore encountered an issue. See stack trace (above) for the root cause.",
    )


def not_json(error: json.JSONDecodeError) -> ApiError:
    problem = {
        "type": "json_invalid",
        "loc": f"body.{error.pos}",
        "msg": "JSON decode error",
        "input": "<dict of 0 items>",
        "ctx": {"error": error.msg},
    }
    return _validation_error([problem])


def no_body() -> ApiError:
    """Of a body that is empty or null."""
    problem = {"type": "missing", "loc": "body", "msg": "Field required", "input": "None"}
    return _validation_error([problem])


def wrong_content_type() -> ApiError:
    message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
    return ApiError(400, "Bad Request", message)


def wrong_fields(error: ValidationError) -> ApiError:
    """What pydantic found, as vLLM words it."""
    return _validation_error([_problem(each) for each in error.errors(include_url=False)])


def _problem(found: ErrorDetails) -> dict[str, Any]:
    problem = {
        "type": found["type"],
        "loc": ".".join(["body", *(str(part) for part in found["loc"] if _is_field(str(part)))]),
        "msg": found["msg"],
        "input": _summary(found["input"]),
    }
    return {**problem, "ctx": found["ctx"]} if "ctx" in found else problem


def _validation_error(problems: Sequence[dict[str, Any]]) -> ApiError:
    label = "error" if len(problems) == 1 else "errors"
    lines = [f"{len(problems)} validation {label}:"]
    lines += [f"  {problem}" for problem in problems[:MAX_REPORTED]]
    if len(problems) > MAX_REPORTED:
        lines.append(f"  ...and {len(problems) - MAX_REPORTED} more {label}")
    return ApiError(400, "Bad Request", "\n".join(lines), problems[0]["loc"])


def _is_field(part: str) -> bool:
    """False for the kinds of types that pydantic puts into the path of a union.

    Names of classes stay only for messages: vLLM's other classes have validators around them, and then the
    path has the validator's name in brackets, which it takes out.
    """
    if part[:1].isupper():
        return part.endswith("MessageParam") or part == "Message"
    return not BRACKETS.search(part) and part not in KINDS


def _summary(value: object) -> object:
    if isinstance(value, str):
        return (
            value if len(value) <= MAX_INPUT_CHARACTERS else value[:MAX_INPUT_CHARACTERS] + "...[truncated]"
        )
    if isinstance(value, list | dict):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)[:MAX_INPUT_CHARACTERS]

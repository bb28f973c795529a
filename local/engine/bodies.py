"""Bodies of requests: JSON, and the fields that a route reads of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from local.engine.errors import bad_request, no_body, not_json, wrong_content_type, wrong_fields

Asked = TypeVar("Asked", bound=BaseModel)


def parsed(
    kind: type[Asked], body: object, before: Callable[[Mapping[str, Any]], None] | None = None
) -> Asked:
    """The fields of a request. Raises ApiError on wrong ones.

    before: looks at a body that is an object before its fields are read. FastAPI reads bodies from
    attributes, too, which shows in what it says about a wrong type.
    """
    if body is None:
        raise no_body()
    if before is not None and isinstance(body, dict):
        before(body)
    try:
        return kind.model_validate(body, from_attributes=True)
    except ValidationError as error:
        raise wrong_fields(error) from None


async def json_body(http: HttpRequest) -> object:
    """The body as JSON. Raises ApiError on another content type and on anything that is not JSON."""
    content_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise wrong_content_type()
    body = await http.body()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return lenient(body)


def lenient(body: bytes) -> object:
    """What Python's own parser makes of a body: FastAPI uses it, and it takes a byte order mark, NaN and
    infinities. Raises ApiError, or Starlette's error where FastAPI gives up without a reason."""
    if not body:
        return None
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise not_json(error) from None
    except UnicodeEncodeError:  # lone surrogates: no tokenizer takes them
        raise bad_request(
            "TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise HTTPException(400, "There was an error parsing the body") from None
    return found

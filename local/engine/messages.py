"""The messages of a conversation: what vLLM 0.32.0 accepts as one, and the text of it.

The eight kinds of message have the names that vLLM's answers to a wrong one give away; what a body is told is
what pydantic says about each of them in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Required

from pydantic import BaseModel, PlainValidator
from pydantic_core import PydanticKnownError
from typing_extensions import TypedDict

from local.engine.errors import ApiError, bad_request, bad_value, not_emulated

TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "thinking": "thinking",
              "refusal": "refusal", "tool_reference": "name"}  # fmt: skip
"""Kinds of parts that are text, and the field it stands in."""

MEDIA_PARTS = {
    "image_url": "image", "input_image": "image", "image_pil": "image", "image_embeds": "image",
    "audio_url": "audio", "input_audio": "audio", "audio_embeds": "audio",
    "video_url": "video", "video_embeds": "video", "prompt_embeds": "prompt_embeds",
}  # fmt: skip


def iterable(value: object) -> object:
    """As pydantic takes an iterable: without a look into it."""
    if not hasattr(value, "__iter__"):
        raise PydanticKnownError("iterable_type")
    return value


Parts = Annotated[Any, PlainValidator(iterable)]


class ChatCompletionDeveloperMessageParam(TypedDict, total=False):
    content: Required[str | Parts]
    role: Required[Literal["developer"]]
    name: str


class ChatCompletionSystemMessageParam(TypedDict, total=False):
    content: Required[str | Parts]
    role: Required[Literal["system"]]
    name: str


class ChatCompletionUserMessageParam(TypedDict, total=False):
    content: Required[str | Parts]
    role: Required[Literal["user"]]
    name: str


class ChatCompletionAssistantMessageParam(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: str | Parts | None
    name: str
    refusal: str | None
    tool_calls: Parts


class ChatCompletionToolMessageParam(TypedDict, total=False):
    content: Required[str | Parts]
    role: Required[Literal["tool"]]
    tool_call_id: Required[str]


class ChatCompletionFunctionMessageParam(TypedDict, total=False):
    content: Required[str | None]
    name: Required[str]
    role: Required[Literal["function"]]


class CustomChatCompletionMessageParam(TypedDict, total=False):
    role: Required[str]
    content: str | list[Any]
    name: str
    tool_call_id: str | None
    reasoning: str | None
    task: str | None


class Message(BaseModel):
    """Of gpt-oss' own format. vLLM reads it and then fails on it, on this route."""

    author: dict[str, Any]
    content: list[Any] = []


ChatMessage = (
    ChatCompletionDeveloperMessageParam
    | ChatCompletionSystemMessageParam
    | ChatCompletionUserMessageParam
    | ChatCompletionAssistantMessageParam
    | ChatCompletionToolMessageParam
    | ChatCompletionFunctionMessageParam
    | CustomChatCompletionMessageParam
    | Message
)


def turns(messages: Sequence[ChatMessage], served: str) -> list[tuple[str, str]]:
    """Role and text of each message. Raises ApiError on images and other inputs."""
    if not messages:
        raise bad_request(
            "Cannot apply chat template to an empty conversation. Provide at least one message."
        )
    return [_turn(message, served) for message in messages]


def _turn(message: ChatMessage, served: str) -> tuple[str, str]:
    if isinstance(message, Message):
        raise bad_request("'Message' object is not subscriptable")
    content = message.get("content")
    if content is None:
        return message["role"], ""
    if isinstance(content, str):
        return message["role"], content
    return message["role"], "\n".join(_text(part, served) for part in content)


def _text(part: object, served: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise bad_request("Invalid 'type' field in multimodal part. (parameter=type)", "type")
    kind = part.get("type")
    if kind is None:
        kind = next((field for field in MEDIA_PARTS if field in part), None)
    if kind is None:
        raise bad_request("Missing 'type' field in multimodal part. (parameter=type)", "type")
    if not isinstance(kind, str):
        raise bad_request("Invalid 'type' field in multimodal part. (parameter=type)", "type")
    if kind in TEXT_PARTS:
        text = part.get(TEXT_PARTS[kind])
        return text if isinstance(text, str) else ""
    if kind in MEDIA_PARTS:
        raise _no_media(kind, served)
    supported = ", ".join(sorted({*TEXT_PARTS, *MEDIA_PARTS}))
    raise bad_value(
        f"Unsupported chat content part type: {kind!r}. Supported types: {supported}.", "type", kind
    )


def _no_media(kind: str, served: str) -> ApiError:
    if MEDIA_PARTS[kind] == "prompt_embeds":
        return not_emulated("prompt_embeds", "prompts are text")
    return bad_request(f"{served} is not a multimodal model")

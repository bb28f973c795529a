"""The messages of a conversation: what vLLM 0.32.0 accepts as one, and the text of it.

The eight kinds of message have the names that vLLM's answers to a wrong one give away; what a body is told is
what pydantic says about each of them in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Required
from urllib.parse import urlsplit

from pydantic import BaseModel, PlainValidator
from pydantic_core import PydanticKnownError
from typing_extensions import TypedDict

from local.engine.errors import ApiError, bad_request, not_emulated

TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "thinking": "thinking",
              "refusal": "refusal", "tool_reference": "name"}  # fmt: skip
"""Kinds of parts that are text, and the field it stands in."""

MEDIA_PARTS = {
    "image_url": "image", "input_image": "image", "image_pil": "image", "image_embeds": "image",
    "audio_url": "audio", "input_audio": "audio", "audio_embeds": "audio",
    "video_url": "video", "video_embeds": "video", "prompt_embeds": "prompt_embeds",
}  # fmt: skip


@dataclass(frozen=True)
class Media:
    """What becomes of inputs that are no text. served: the model's name in errors; understood: whether it is
    multimodal; domains: --allowed-media-domains, of which addresses must be, if there are any."""

    served: str
    understood: bool = False
    domains: tuple[str, ...] = ()


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


def turns(messages: Sequence[ChatMessage], media: Media) -> list[tuple[str, str]]:
    """Role and text of each message. Raises ApiError on images and other inputs."""
    if not messages:
        raise bad_request(
            "Cannot apply chat template to an empty conversation. Provide at least one message."
        )
    return [_turn(message, media) for message in messages]


def _turn(message: ChatMessage, media: Media) -> tuple[str, str]:
    if isinstance(message, Message):
        raise bad_request("'Message' object is not subscriptable")
    content = message.get("content")
    if content is None:
        return message["role"], ""
    if isinstance(content, str):
        return message["role"], content
    return message["role"], "\n".join(_text(part, media) for part in content)


def _text(part: object, media: Media) -> str:
    """vLLM looks into a list only while it makes the prompt, and then says what pydantic says."""
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise _no_part(part)
    if kind in TEXT_PARTS:
        text = part.get(TEXT_PARTS[kind])
        if not isinstance(text, str):
            raise _no_part(part)
        return text
    if kind in MEDIA_PARTS:
        raise _no_media(kind, part, media)
    raise _no_part(part)


def _no_part(part: object) -> ApiError:
    return bad_request(
        f"1 validation error for ValidatorIterator\n  Input should be a valid content part, got {part!r:.100}"
    )


def _no_media(kind: str, part: Mapping[str, Any], media: Media) -> ApiError:
    if MEDIA_PARTS[kind] == "prompt_embeds":
        return not_emulated("prompt_embeds", "prompts are text")
    if not media.understood:
        return bad_request(f"{media.served} is not a multimodal model")
    reference = part.get(kind)
    address = reference.get("url") if isinstance(reference, dict) else reference
    if kind.endswith("_url") and isinstance(address, str):
        return _no_address(address, media)
    return not_emulated(kind, "there is no encoder for images and other inputs")


def _no_address(address: str, media: Media) -> ApiError:
    """vLLM 0.32.0, multimodal/media/connector.py, up to where it would fetch or decode something."""
    try:
        url = urlsplit(address)
    except ValueError as error:
        return bad_request(f"Failed to parse: {error}")
    if url.scheme in ("http", "https") and media.domains and url.hostname not in media.domains:
        return bad_request(
            f"The URL must be from one of the allowed domains: {list(media.domains)}. Input URL domain: "
            f"{url.hostname}"
        )
    if url.scheme == "file":
        message = "Cannot load local files without `--allowed-local-media-path`."
        return ApiError(500, "InternalServerError", message)
    if url.scheme not in ("http", "https", "data"):
        return bad_request("The URL must be either a HTTP, data or file URL.")
    return not_emulated("image_url", "there is no encoder for images and other inputs")

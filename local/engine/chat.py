"""POST /v1/chat/completions: the fields of a conversation, and its prompt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from local.engine.errors import ApiError, bad_request
from local.engine.messages import ChatMessage, Media, Message, turns
from local.engine.protocol import GenerationRequest
from local.engine.tokens import Prompt, chat_prompt

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

UNTRUSTED_TEMPLATE = (
    "Chat template is passed with request, but --trust-request-chat-template is not set. Refused request "
    "with untrusted chat template."
)


class Function(BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    type: Literal["function"] = "function"
    function: Function


class NamedFunction(BaseModel):
    name: str


class NamedTool(BaseModel):
    function: NamedFunction
    type: Literal["function"] = "function"


class Templated(BaseModel):
    """What a conversation says about its chat template."""

    messages: list[ChatMessage]
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = False
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    media_io_kwargs: dict[str, dict[str, Any]] | None = None
    mm_processor_kwargs: dict[str, Any] | None = None

    def check_template(self, trusted: bool) -> None:
        """Raises ApiError on a template in the request, unless the server trusts its callers with it."""
        keywords = self.chat_template_kwargs or {}
        if not trusted and (self.chat_template is not None or keywords.get("chat_template") is not None):
            raise bad_request(UNTRUSTED_TEMPLATE)
        if self.mm_processor_kwargs:
            raise untrusted_media("mm_processor_kwargs", "multimodal preprocessing")
        if self.media_io_kwargs:
            raise untrusted_media("media_io_kwargs", "multimodal media loading")

    def check_continuation(self) -> None:
        """Raises ApiError where the last message is to be continued and a new one begun, the default."""
        if self.continue_final_message and self.add_generation_prompt:
            raise bad_request(
                "continue_final_message and add_generation_prompt are not compatible. Use "
                "continue_final_message when you want the model to continue the final message, and "
                "add_generation_prompt when you want to add a header that will prompt it to start a new "
                "assistant message instead."
            )


def untrusted_media(parameter: str, what: str) -> ApiError:
    return bad_request(
        f"Per-request {parameter} are disabled by default because they can change {what} resource usage. "
        "Start the server with --trust-request-mm-kwargs only when clients are trusted. "
        f"(parameter={parameter})",
        parameter,
    )


class ChatRequest(GenerationRequest, Templated):
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = "none"
    reasoning_effort: Effort | None = None
    include_reasoning: bool = True
    parallel_tool_calls: bool | None = True
    echo: bool = False
    documents: list[dict[str, str]] | None = None
    return_prompt_text: bool | None = None
    mm_payload: Literal["tensors", "none"] = "tensors"

    @property
    def tool_use(self) -> Literal["none", "auto", "required"] | NamedTool | None:
        """tool_choice; of a request with tools that does not say, auto."""
        unsaid = "tool_choice" not in self.model_fields_set
        return "auto" if unsaid and self.tools else self.tool_choice

    def asked_tokens(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def length_name(self) -> str:
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    @property
    def answering_role(self) -> str:
        """Of the reply: the last message's, if the template is to begin no new one."""
        last = self.messages[-1]
        return "assistant" if self.add_generation_prompt or isinstance(last, Message) else last["role"]

    def prompts(self, media: Media) -> list[Prompt]:
        found = turns(self.messages, media)
        self.check_continuation()
        return [chat_prompt(found)]

    def check_emulated(self) -> None:
        super().check_emulated()
        if self.logprobs:
            self.refuse_logprobs(0 if self.top_logprobs is None else self.top_logprobs)

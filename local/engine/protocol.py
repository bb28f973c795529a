"""Requests of the OpenAI API with vLLM's additions: what is read, and what is refused with vLLM's words.

Unknown fields are ignored, as vLLM does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from local.engine.errors import bad_request, bad_value, not_emulated
from local.engine.tokens import Prompt, chat_prompt, text_prompt, token_prompt

DEFAULT_COMPLETION_TOKENS = 16
INT64 = 2**63

TokenId = Annotated[int, Field(ge=0, lt=INT64)]


class StreamOptions(BaseModel):
    include_usage: bool | None = True
    continuous_usage_stats: bool | None = False


class GenerationRequest(BaseModel, ABC):
    """What both kinds of request have in common."""

    model: str | None = None
    n: int | None = 1
    seed: int | None = Field(None, ge=-INT64, lt=INT64)
    stop: str | list[str] | None = []
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    include_stop_str_in_output: bool = False
    use_beam_search: bool = False
    prompt_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    request_id: str | None = None

    @property
    def choices(self) -> int:
        return 1 if self.n is None else self.n

    @property
    def stops(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True

    @property
    def wants_continuous_usage(self) -> bool:
        return (
            self.wants_usage
            and self.stream_options is not None
            and bool(self.stream_options.continuous_usage_stats)
        )

    @abstractmethod
    def asked_tokens(self) -> int | None:
        """Length asked for, if any."""

    @abstractmethod
    def prompts(self) -> list[Prompt]:
        """The prompts. Raises ApiError if there are none."""

    def check(self) -> None:
        """Raises ApiError on values out of range and on what the emulator does not have."""
        if self.stream_options is not None and not self.stream:
            raise bad_request(
                "Stream options can only be defined when `stream=True`. (parameter=stream_options)",
                "stream_options",
            )
        if self.choices < 1:
            raise bad_request(f"n must be at least 1, got {self.choices}.")
        if self.temperature is not None and self.temperature < 0:
            raise bad_value(
                f"temperature must be non-negative, got {self.temperature}.", "temperature", self.temperature
            )
        if self.temperature is not None and self.temperature > 2:
            raise bad_value(
                f"temperature must be in [0, 2], got {self.temperature}.", "temperature", self.temperature
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise bad_value(f"top_p must be in (0, 1], got {self.top_p}.", "top_p", self.top_p)
        if self.min_tokens < 0:
            raise bad_request(f"min_tokens must be greater than or equal to 0, got {self.min_tokens}.")
        if any(not stop for stop in self.stops):
            raise bad_request("stop cannot contain an empty string.")
        if self.use_beam_search:
            raise not_emulated("use_beam_search", "there are no probabilities to search")
        if self.prompt_logprobs is not None:
            raise not_emulated("prompt_logprobs", "there are no probabilities")
        constrained = self.response_format is not None and self.response_format.get("type") != "text"
        if constrained or self.structured_outputs is not None:
            raise not_emulated("response_format", "replies are arbitrary words and follow no schema")


class TextPart(BaseModel):
    type: str
    text: str | None = None


class Message(BaseModel):
    role: str
    content: str | list[TextPart] | None = None

    def text(self, model: str) -> str:
        """The message's text. Raises ApiError on images and other inputs."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        if any(part.text is None for part in self.content):
            raise bad_request(f"{model} is not a multimodal model")
        return "\n".join(part.text or "" for part in self.content)


class ChatRequest(GenerationRequest):
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    echo: bool = False

    def asked_tokens(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def prompts(self) -> list[Prompt]:
        if not self.messages:
            raise bad_request(
                "Cannot apply chat template to an empty conversation. Provide at least one message."
            )
        model = "The model" if self.model is None else self.model
        return [chat_prompt([(message.role, message.text(model)) for message in self.messages])]

    def check(self) -> None:
        super().check()
        if self.logprobs or self.top_logprobs:
            raise not_emulated("logprobs", "there are no probabilities")


class CompletionRequest(GenerationRequest):
    prompt: list[TokenId] | list[list[TokenId]] | str | list[str] | None = None
    max_tokens: int | None = DEFAULT_COMPLETION_TOKENS
    echo: bool | None = False
    logprobs: int | None = None
    suffix: str | None = None

    def asked_tokens(self) -> int | None:
        return self.max_tokens

    def prompts(self) -> list[Prompt]:
        if self.prompt is None or self.prompt == "":
            raise bad_request(
                "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)", "prompt"
            )
        if isinstance(self.prompt, str):
            return [text_prompt(self.prompt)]
        prompts = [_one_prompt(each) for each in self.prompt if not isinstance(each, int)]
        ids = [each for each in self.prompt if isinstance(each, int)]
        if ids:
            prompts.append(token_prompt(ids))
        if not prompts or any(not prompt.tokens for prompt in prompts):
            raise bad_request("You must pass at least one prompt")
        return prompts

    def check(self) -> None:
        super().check()
        if self.suffix is not None:
            raise bad_request("suffix is only supported for models with FIM completion rendering", "suffix")
        if self.logprobs is not None:
            raise not_emulated("logprobs", "there are no probabilities")
        if self.echo and not all(isinstance(each, str) for each in self.texts()):
            raise not_emulated("echo", "a prompt given as token ids has no text")

    def texts(self) -> list[object]:
        """The prompts as they were sent, for `echo`."""
        if isinstance(self.prompt, list) and not all(isinstance(each, int) for each in self.prompt):
            return list(self.prompt)
        return [self.prompt]


def _one_prompt(prompt: str | list[int]) -> Prompt:
    return text_prompt(prompt) if isinstance(prompt, str) else token_prompt(prompt)

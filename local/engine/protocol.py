"""Requests that generate, as far as both kinds share them: the fields of vLLM 0.32.0, with its types.

Unknown fields are ignored, as vLLM does. What is checked before the fields are read stands in
before_fields.py, what is checked of their values in sampling.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from local.engine.errors import bad_request, bad_value, not_emulated
from local.engine.messages import Media
from local.engine.tokens import Prompt

INT64 = 2**63
CONSTRAINTS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
CONSTRAINT_FIELDS = {
    "json": None, "regex": None, "choice": None, "grammar": None, "json_object": None,
    "disable_any_whitespace": False, "disable_additional_properties": False, "whitespace_pattern": None,
    "structural_tag": None, "_backend": None, "_backend_was_auto": False,
}  # fmt: skip
"""Fields of a structured output, as vLLM prints them in an error."""

MAX_LOGPROBS = 20
"""vLLM's default of --max-logprobs."""

MAX_STOPS = 4
"""Stop strings of a request, by default of vLLM 0.32.0 (VLLM_MAX_STOP_STRINGS)."""

TokenId = Annotated[int, Field(ge=0)]


class StreamOptions(BaseModel):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class JsonSchemaFormat(BaseModel):
    name: str
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuralTagFormat(BaseModel):
    type: Literal["structural_tag"]
    format: Any


class LegacyTag(BaseModel):
    begin: str
    structural_tag_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    end: str


class LegacyStructuralTagFormat(BaseModel):
    type: Literal["structural_tag"]
    structures: list[LegacyTag]
    triggers: list[str]


def thinking_budget(value: object) -> int | None:
    """Raises ApiError on what is not a number of tokens; -1 is no limit."""
    if value is None or (value == -1 and isinstance(value, int)):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        message = "`thinking_token_budget` must be a non-negative integer or -1 for unlimited."
        raise bad_value(message, "thinking_token_budget", value)
    return value


def structured(value: object) -> object:
    """Raises ApiError on a constraint that is none, or several."""
    if isinstance(value, dict):
        found = {name: value.get(name, default) for name, default in CONSTRAINT_FIELDS.items()}
        count = sum(found[name] is not None for name in CONSTRAINTS)
        if count != 1:
            how_many = "but multiple are specified" if count else "but none are specified"
            start = "You can only use one" if count else "You must use one"
            raise bad_request(f"{start} kind of structured outputs constraint {how_many}: {found}")
    return value


class GenerationRequest(BaseModel, ABC):
    """What both kinds of request have in common."""

    model: str | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    n: int | None = 1
    presence_penalty: float | None = None
    response_format: ResponseFormat | StructuralTagFormat | LegacyStructuralTagFormat | None = None
    seed: int | None = Field(None, ge=-INT64, le=INT64 - 1)
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = []
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    thinking_token_budget: Annotated[int | None, BeforeValidator(thinking_budget)] = None
    user: str | None = None
    use_beam_search: bool = False
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    watermarking: bool | None = None
    length_penalty: float = 1.0
    stop_token_ids: list[int] | None = []
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    min_tokens: int = 0
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=INT64 - 1)] | None = None
    truncation_side: Literal["left", "right"] | None = None
    prompt_logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] = []
    structured_outputs: Annotated[dict[str, Any] | None, BeforeValidator(structured)] = None
    priority: int = Field(0, ge=-INT64, le=INT64 - 1)
    request_id: str | None = None
    session_id: str | None = None
    return_tokens_as_token_ids: bool | None = None
    return_token_ids: bool | None = None
    routed_experts_prompt_start: int = Field(0, ge=0)
    cache_salt: str | None = None
    kv_transfer_params: dict[str, Any] | None = None
    ec_transfer_params: dict[str, Any] | None = None
    vllm_xargs: dict[str, str | int | float | list[str | int | float]] | None = None
    repetition_detection: dict[str, Any] | None = None
    stream_interval: Annotated[int, Field(ge=1)] | None = None

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

    @property
    def length_name(self) -> str:
        """The field that asks for a length, as errors call it."""
        return "max_tokens"

    @abstractmethod
    def asked_tokens(self) -> int | None:
        """Length asked for, if any."""

    @abstractmethod
    def prompts(self, media: Media) -> list[Prompt]:
        """The prompts. Raises ApiError if there are none, and on inputs that are no text."""

    def check_length(self, longest: int) -> None:
        """Raises ApiError on a length that the model does not have."""
        tokens = self.asked_tokens()
        if tokens is not None and tokens > longest:
            raise bad_value(
                f"{self.length_name}={tokens} cannot be greater than max_model_len={longest}. Please request "
                "fewer output tokens.",
                self.length_name,
                tokens,
            )
        cut = self.truncate_prompt_tokens
        if cut is not None and cut > longest:
            raise bad_value(
                f"truncate_prompt_tokens={cut} cannot be greater than max_model_len = {longest}. Please "
                "request a smaller truncation size.",
                "truncate_prompt_tokens",
                cut,
            )

    def refuse_logprobs(self, asked: int) -> None:
        """Raises ApiError: vLLM's, of more than it would tell, else the emulator's."""
        if asked > MAX_LOGPROBS:
            message = (
                f"Requested sample logprobs of {asked}, which is greater than max allowed: {MAX_LOGPROBS}"
            )
            raise bad_value(message, "logprobs", asked)
        raise not_emulated("logprobs", "there are no probabilities")

    def check_emulated(self) -> None:
        """Raises ApiError on what vLLM can do and the emulator cannot."""
        if self.use_beam_search:
            raise not_emulated("use_beam_search", "there are no probabilities to search")
        if self.prompt_logprobs is not None:
            raise not_emulated("prompt_logprobs", "there are no probabilities")
        constrained = self.response_format is not None and self.response_format.type != "text"
        if constrained or self.structured_outputs is not None:
            raise not_emulated("response_format", "replies are arbitrary words and follow no schema")

"""POST /v1/completions: the fields of a request for text, and its prompts."""

from __future__ import annotations

from pydantic import field_validator

from local.engine.errors import bad_request, not_emulated
from local.engine.messages import Media
from local.engine.protocol import GenerationRequest, TokenId
from local.engine.tokens import Prompt, text_prompt, token_prompt

DEFAULT_COMPLETION_TOKENS = 16


class CompletionRequest(GenerationRequest):
    n: int = 1  # pyright: ignore[reportIncompatibleVariableOverride]  # null is wrong here, right for chat
    prompt: list[TokenId] | list[list[TokenId]] | str | list[str] | None = None
    max_tokens: int | None = DEFAULT_COMPLETION_TOKENS
    echo: bool | None = False
    logprobs: int | None = None
    suffix: str | None = None
    prompt_embeds: bytes | list[bytes] | None = None
    add_special_tokens: bool = True

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: object) -> object:
        return DEFAULT_COMPLETION_TOKENS if value is None else value

    def asked_tokens(self) -> int | None:
        return self.max_tokens

    def prompts(self, media: Media) -> list[Prompt]:
        if self.suffix is not None:
            raise self._no_suffix()
        if self.prompt_embeds is not None or self.prompt is None:
            raise bad_request(
                "You must set `--enable-prompt-embeds` to input `prompt_embeds`. (parameter=prompt_embeds)",
                "prompt_embeds",
            )
        if isinstance(self.prompt, str):
            return [text_prompt(self.prompt)]
        prompts = [_one_prompt(each) for each in self.prompt if not isinstance(each, int)]
        ids = [each for each in self.prompt if isinstance(each, int)]
        if ids:
            prompts.append(token_prompt(ids))
        if not prompts:
            raise bad_request("You must pass at least one prompt")
        return prompts

    def _no_suffix(self) -> Exception:
        if self.echo:
            return bad_request("Echo is unsupported with suffix.", "suffix")
        if self.truncate_prompt_tokens is not None:
            return bad_request("suffix is not supported with truncate_prompt_tokens", "suffix")
        if all(isinstance(text, str) for text in self.texts()):
            return bad_request("suffix is only supported for models with FIM completion rendering", "suffix")
        return bad_request("suffix requires text prompt input for FIM completion rendering", "suffix")

    def check_emulated(self) -> None:
        super().check_emulated()
        if self.logprobs is not None:
            self.refuse_logprobs(self.logprobs)
        if self.echo and not all(isinstance(each, str) for each in self.texts()):
            raise not_emulated("echo", "a prompt given as token ids has no text")

    def texts(self) -> list[object]:
        """The prompts as they were sent, for `echo`."""
        if isinstance(self.prompt, list) and not all(isinstance(each, int) for each in self.prompt):
            return list(self.prompt)
        return [self.prompt]


def _one_prompt(prompt: str | list[int]) -> Prompt:
    return text_prompt(prompt) if isinstance(prompt, str) else token_prompt(prompt)

"""From a request of the API to replies in the engine: lengths, words, and the checks that vLLM makes."""

from __future__ import annotations

from dataclasses import dataclass

from local.engine.errors import bad_request, bad_value
from local.engine.faults import fault_in
from local.engine.protocol import GenerationRequest
from local.engine.reply import ReplyText, drawn_length, first_stop, mix
from local.engine.request import Choice, Request
from local.engine.scheduler import Sequence
from local.engine.settings import Engine
from local.engine.tokens import Prompt


@dataclass(frozen=True)
class Lengths:
    """tokens: how long the reply gets; limit: max_tokens as the engine counts it; reason: how it ends."""

    tokens: int
    limit: int
    reason: str


def planned_request(
    asked: GenerationRequest, prompts: list[Prompt], engine: Engine, adapter: str | None = None
) -> Request:
    """The engine's request: `n` choices for each prompt. Raises ApiError on lengths that cannot be."""
    choices = []
    limit = 0
    for prompt in prompts:
        check_lengths(asked, prompt, engine)
        for index in range(asked.choices):
            key = reply_key(asked, prompt, index)
            lengths = planned_lengths(asked, prompt, key, engine)
            choices.append(_choice(asked, prompt, ReplyText(key), lengths, engine, adapter))
            limit = lengths.limit
    fault = next((found for prompt in prompts if (found := fault_in(prompt.content)) is not None), None)
    return Request(choices=choices, max_tokens=limit, prompts=len(prompts), fault=fault)


def check_lengths(asked: GenerationRequest, prompt: Prompt, engine: Engine) -> None:
    longest = engine.max_model_len
    if prompt.largest_id is not None and prompt.largest_id >= engine.model.vocabulary:
        raise bad_request(f"Token id {prompt.largest_id} is out of vocabulary")
    tokens = asked.asked_tokens()
    if tokens is not None and tokens < 1 and not is_echo_only(asked):
        raise bad_value(f"max_tokens must be at least 1, got {tokens}.", "max_tokens", tokens)
    if tokens is not None and tokens > longest:
        raise bad_value(
            f"max_tokens={tokens} cannot be greater than max_model_len={longest}. Please request fewer "
            "output tokens.",
            "max_tokens",
            tokens,
        )
    if prompt.tokens > longest:
        # vLLM stops counting a text's tokens at the first one too many; ids it need not count.
        exact = prompt.largest_id is not None
        counted = prompt.tokens if exact else longest + 1
        raise bad_value(
            f"This model's maximum context length is {longest} tokens. However, your prompt contains "
            f"{'' if exact else 'at least '}{counted} input tokens, which exceeds this limit even without "
            "any output tokens. Please reduce the length of the input prompt.",
            "input_tokens",
            counted,
        )
    if prompt.tokens == longest:
        raise bad_value("max_tokens must be at least 1, got 0.", "max_tokens", 0)
    if tokens is not None and asked.min_tokens > tokens:
        raise bad_request(
            f"min_tokens must be less than or equal to max_tokens={tokens}, got {asked.min_tokens}."
        )


def is_echo_only(asked: GenerationRequest) -> bool:
    """`echo` with max_tokens 0: the prompt comes back, and vLLM computes one token without showing it."""
    return bool(getattr(asked, "echo", False)) and asked.asked_tokens() == 0


def reply_key(asked: GenerationRequest, prompt: Prompt, index: int) -> int:
    """The same for the same prompt, seed and choice."""
    seed = 0 if asked.seed is None else asked.seed
    return mix(mix(prompt.fingerprint + (seed << 32)) + index)


def planned_lengths(asked: GenerationRequest, prompt: Prompt, key: int, engine: Engine) -> Lengths:
    """max_tokens where it is given, else a drawn length; within the context and the server's limit.

    A caller who sets max_tokens gets that many: a benchmark asks for a length and means it.
    """
    room = engine.max_model_len - prompt.tokens
    if engine.max_reply is not None:
        room = min(room, engine.max_reply)
    tokens = asked.asked_tokens()
    if tokens is not None:
        limit = max(1, min(tokens, room))
        return Lengths(limit, limit, "length")
    drawn = room if asked.ignore_eos else max(drawn_length(key), asked.min_tokens)
    return Lengths(drawn, room, "stop") if drawn < room else Lengths(room, room, "length")


def _choice(
    asked: GenerationRequest,
    prompt: Prompt,
    reply: ReplyText,
    lengths: Lengths,
    engine: Engine,
    adapter: str | None,
) -> Choice:
    stop = first_stop(reply, lengths.tokens, asked.stops, asked.min_tokens)
    tokens = lengths.tokens if stop is None else stop.tokens
    keys = prompt.block_keys(engine.block_size, adapter) if engine.prefix_caching else []
    return Choice(
        sequence=Sequence(prompt.tokens, tokens, keys, adapter),
        reply=reply,
        reason=lengths.reason if stop is None else "stop",
        stop=stop,
    )


def choice_text(choice: Choice, start: int, end: int, keep_stop: bool) -> str:
    """The words of tokens `start` up to `end` that the caller may see: nothing from a stop string on.

    vLLM holds back text that may turn out to begin a stop string; the emulator knows beforehand where it is.
    """
    text = choice.reply.text(start, end)
    if choice.stop is None:
        return text
    visible = choice.stop.characters + (len(choice.stop.stop) if keep_stop else 0)
    return text[: max(0, visible - len(choice.reply.text(0, start)))]

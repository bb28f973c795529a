"""From a request of the API to replies in the engine: lengths, words, and the checks that vLLM makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.engine.errors import bad_request, bad_value
from local.engine.faults import fault_in
from local.engine.messages import Media
from local.engine.parts import Parts, ThoughtfulText
from local.engine.protocol import GenerationRequest
from local.engine.reply import ReplyText, drawn_length, first_stop, mix
from local.engine.request import Choice, Request
from local.engine.sampling import check_sampling
from local.engine.scheduler import Sequence as EngineSequence
from local.engine.settings import Engine
from local.engine.tokens import Prompt, cut_to


@dataclass(frozen=True)
class Lengths:
    """tokens: how long the reply gets; reason: how it ends."""

    tokens: int
    reason: str


def rendered(asked: GenerationRequest, media: Media, engine: Engine) -> list[Prompt]:
    """The prompts, cut where the request says so. Raises ApiError on what is no prompt for this engine."""
    prompts = asked.prompts(media)
    cut = asked.truncate_prompt_tokens
    if cut is not None:
        most = engine.max_model_len - 1 if cut == -1 else cut
        prompts = [cut_to(prompt, most) for prompt in prompts]
    for prompt in prompts:
        check_prompt(prompt, engine)
    return prompts


def check_prompt(prompt: Prompt, engine: Engine) -> None:
    longest = engine.max_model_len
    if prompt.largest_id is not None and prompt.largest_id >= engine.model.vocabulary:
        raise bad_request(f"Token id {prompt.largest_id} is out of vocabulary")
    if prompt.tokens > longest:
        # vLLM stops counting a text's tokens at the first one too many; ids it need not count.
        counted = prompt.tokens if prompt.largest_id is not None else longest + 1
        raise bad_value(
            f"This model's maximum context length is {longest} tokens. However, your prompt contains "
            f"{'at least ' if counted == longest + 1 else ''}{counted} input tokens, which exceeds this "
            "limit even without any output tokens. Please reduce the length of the input prompt.",
            "input_tokens",
            counted,
        )


def planned_request(
    asked: GenerationRequest,
    prompts: Sequence[Prompt],
    engine: Engine,
    max_choices: int,
    adapter: str | None = None,
    parts_of: Callable[[int], Parts | None] = lambda key: None,
) -> Request:
    """The engine's request: `n` choices for each prompt. Raises ApiError on values out of range.

    parts_of: what the reply of a key is made of, if it is more than words.
    """
    choices = []
    limit = 0
    for prompt in prompts:
        limit = length_limit(asked, prompt, engine)
        check_sampling(asked, limit, max_choices)
        for index in range(asked.choices):
            key = reply_key(asked, prompt, index)
            parts = parts_of(key)
            lengths = planned_lengths(asked, limit, key, parts)
            choices.append(_choice(asked, prompt, key, parts, lengths, engine, adapter))
    fault = next((found for prompt in prompts if (found := fault_in(prompt.content)) is not None), None)
    return Request(choices=choices, max_tokens=limit, prompts=len(prompts), fault=fault)


def length_limit(asked: GenerationRequest, prompt: Prompt, engine: Engine) -> int:
    """Tokens that a reply may have: what is asked for, within the context and the server's limit."""
    if is_echo_only(asked):
        return 1
    room = engine.max_model_len - prompt.tokens
    if engine.max_reply is not None:
        room = min(room, engine.max_reply)
    tokens = asked.asked_tokens()
    return room if tokens is None else min(tokens, room)


def is_echo_only(asked: GenerationRequest) -> bool:
    """`echo` with max_tokens 0: the prompt comes back, and vLLM computes one token without showing it."""
    return bool(getattr(asked, "echo", False)) and asked.asked_tokens() == 0


def reply_key(asked: GenerationRequest, prompt: Prompt, index: int) -> int:
    """The same for the same prompt, seed and choice."""
    seed = 0 if asked.seed is None else asked.seed
    return mix(mix(prompt.fingerprint + (seed << 32)) + index)


def planned_lengths(asked: GenerationRequest, limit: int, key: int, parts: Parts | None = None) -> Lengths:
    """max_tokens where it is given, else a drawn length, thoughts included. A call ends where it ends.

    A caller who sets max_tokens gets that many: a benchmark asks for a length and means it.
    """
    if parts is not None and parts.call is not None:
        needed = parts.thoughts + parts.call.tokens
        return Lengths(needed, "stop") if needed <= limit else Lengths(limit, "length")
    if asked.asked_tokens() is not None or asked.ignore_eos:
        return Lengths(limit, "length")
    thoughts = 0 if parts is None else parts.thoughts
    drawn = max(thoughts + drawn_length(key), asked.min_tokens)
    return Lengths(drawn, "stop") if drawn < limit else Lengths(limit, "length")


def _choice(
    asked: GenerationRequest,
    prompt: Prompt,
    key: int,
    parts: Parts | None,
    lengths: Lengths,
    engine: Engine,
    adapter: str | None,
) -> Choice:
    reply = ReplyText(key) if parts is None else ThoughtfulText(key, parts.thoughts)
    calls = parts is not None and parts.call is not None
    stop = None if calls else first_stop(reply, lengths.tokens, asked.stops, asked.min_tokens)
    tokens = lengths.tokens if stop is None else stop.tokens
    keys = prompt.block_keys(engine.block_size, adapter) if engine.prefix_caching else []
    return Choice(
        sequence=EngineSequence(prompt.tokens, tokens, keys, adapter),
        reply=reply,
        reason=lengths.reason if stop is None else "stop",
        stop=stop,
        parts=parts,
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

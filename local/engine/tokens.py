"""Counts tokens without a tokenizer.

A token is four bytes of UTF-8. English prose has 4.2 to 4.5 bytes per token with the vocabularies of Llama 3
and Qwen 3, source code about 3.3, Chinese text about 4 (1.3 characters): one number serves all of them to
within a third, and the emulator needs no vocabulary. A prompt given as token ids is counted exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

BYTES_PER_TOKEN = 4

LARGEST_ID = 2**64 - 1

TURN_BYTES = 5 * BYTES_PER_TOKEN
"""What a chat template puts around one message: five tokens in the templates of Llama 3 and Qwen 3."""

REPLY_BYTES = 3 * BYTES_PER_TOKEN
"""What a chat template puts before the reply: three tokens."""


@dataclass(frozen=True)
class Prompt:
    """One prompt: its length in tokens, and keys by which its KV blocks can be recognised.

    content: the prompt's bytes, `bytes_per_token` for each token. largest_id: of the token ids, if it is made
    of them.
    """

    content: bytes
    bytes_per_token: int
    largest_id: int | None = None

    @cached_property
    def tokens(self) -> int:
        return -(-len(self.content) // self.bytes_per_token)

    @cached_property
    def fingerprint(self) -> int:
        """The same in every process, unlike `hash`, so that a reply is the same after a restart."""
        return zlib.crc32(self.content)

    def block_keys(self, block_size: int, adapter: str | None = None) -> list[int]:
        """A key for each full block of `block_size` tokens.

        Equal keys mean equal prompts up to the end of that block, so a chain of equal keys is a shared
        prefix. What an adapter computes is of use to that adapter only.
        """
        width = block_size * self.bytes_per_token
        keys = []
        key = 0 if adapter is None else hash(adapter)
        for end in range(width, len(self.content) + 1, width):
            key = hash((key, self.content[end - width : end]))
            keys.append(key)
        return keys


def text_prompt(text: str) -> Prompt:
    return Prompt(text.encode("utf-8", "surrogatepass"), BYTES_PER_TOKEN)


def token_prompt(ids: Sequence[int]) -> Prompt:
    """A prompt given as token ids, eight bytes each; larger ones are in no vocabulary anyway."""
    content = b"".join(min(token, LARGEST_ID).to_bytes(8, "little") for token in ids)
    return Prompt(content, 8, max(ids, default=None))


def token_ids(prompt: Prompt) -> list[int]:
    """The tokens as numbers: of a text, the four bytes of each."""
    content, width = prompt.content, prompt.bytes_per_token
    return [int.from_bytes(content[at : at + width], "little") for at in range(0, len(content), width)]


def cut_to(prompt: Prompt, tokens: int) -> Prompt:
    """The last `tokens` tokens of a prompt, as tokenizers of generative models cut."""
    if tokens >= prompt.tokens:
        return prompt
    kept = tokens * prompt.bytes_per_token
    return Prompt(prompt.content[len(prompt.content) - kept :], prompt.bytes_per_token, prompt.largest_id)


def chat_prompt(turns: Sequence[tuple[str, str]]) -> Prompt:
    """The prompt that a chat template makes of (role, text) pairs."""
    parts = []
    for role, text in turns:
        parts.append(f"<{role}>".encode().ljust(TURN_BYTES, b"\0")[:TURN_BYTES])
        parts.append(text.encode("utf-8", "surrogatepass"))
    parts.append(b"<reply>".ljust(REPLY_BYTES, b"\0"))
    return Prompt(b"".join(parts), BYTES_PER_TOKEN)

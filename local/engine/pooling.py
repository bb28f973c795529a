"""Requests for embeddings and scores: what is read, and what is refused with vLLM's words."""

from __future__ import annotations

import base64
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from local.engine.errors import ApiError, bad_request, bad_value, not_emulated
from local.engine.faults import fault_in
from local.engine.pooling_settings import Pooling
from local.engine.protocol import INT64
from local.engine.reply import ReplyText
from local.engine.request import Choice, Request
from local.engine.scheduler import Sequence as EngineSequence
from local.engine.settings import Engine
from local.engine.tokens import BYTES_PER_TOKEN, Prompt, text_prompt, token_prompt

END_BYTES = BYTES_PER_TOKEN
"""The token that tokenizers of embedding models put behind a text."""

LENGTHS = "Input lengths must be either 1:1, 1:N or N:N"

TokenId = Annotated[int, Field(ge=0, lt=INT64)]
Text = str | dict[str, Any]
Texts = Text | list[Text]


class PoolingRequest(BaseModel):
    """What all of them have in common."""

    model: str | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    use_activation: bool | None = None
    request_id: str | None = None

    def check_truncation(self, engine: Engine) -> None:
        cut = self.truncate_prompt_tokens
        if cut is not None and cut > engine.max_model_len:
            raise bad_request(
                "truncate_prompt_tokens value is greater than max_model_len. Please request a smaller "
                "truncation size."
            )


class EmbeddingRequest(PoolingRequest):
    """POST /v1/embeddings, of texts or token ids."""

    input: list[TokenId] | list[list[TokenId]] | str | list[str]
    encoding_format: Literal["float", "base64", "bytes", "bytes_only"] = "float"
    embed_dtype: Literal["float32", "float16", "bfloat16", "fp8_e4m3", "fp8_e5m2"] = "float32"
    endianness: Literal["native", "big", "little"] = "native"
    dimensions: int | None = None

    def prompts(self) -> list[Prompt]:
        """The texts. Raises ApiError if there are none."""
        if isinstance(self.input, str):
            return [_ended(self.input)]
        prompts = [
            _ended(each) if isinstance(each, str) else token_prompt(each)
            for each in self.input
            if not isinstance(each, int)
        ]
        ids = [each for each in self.input if isinstance(each, int)]
        if ids:
            prompts.append(token_prompt(ids))
        if not prompts or any(not prompt.tokens for prompt in prompts):
            raise bad_request("You must pass at least one prompt")
        return prompts

    def width(self, pooling: Pooling, model: str) -> int:
        """Values of an embedding. Raises ApiError where the model has no such."""
        if self.dimensions is None:
            return pooling.dimensions
        if pooling.shorter is None:
            raise bad_request(
                f"Model {model!r} does not support Matryoshka embeddings; dimensions must be unset (received "
                f"dimensions={self.dimensions})."
            )
        if not 1 <= self.dimensions <= pooling.dimensions:
            raise bad_request(
                f"Model {model!r} only supports dimensions in range [1, {pooling.dimensions}], got "
                f"{self.dimensions}."
            )
        if pooling.shorter and self.dimensions not in pooling.shorter:
            raise bad_request(
                f"Model {model!r} only supports Matryoshka dimensions {sorted(pooling.shorter)}, got "
                f"{self.dimensions}."
            )
        return self.dimensions

    def check_encoding(self) -> None:
        if self.encoding_format in ("bytes", "bytes_only"):
            raise not_emulated("encoding_format", "embeddings are sent as JSON, float or base64")
        if self.embed_dtype != "float32":
            raise not_emulated("embed_dtype", "embeddings are 32-bit floats")

    def encoded(self, values: Sequence[float]) -> list[float] | str:
        if self.encoding_format == "float":
            return list(values)
        order = ">" if self.endianness == "big" else "<"
        return base64.b64encode(struct.pack(f"{order}{len(values)}f", *values)).decode()


class ScoringRequest(PoolingRequest, ABC):
    """A query, or several, and the documents to compare them with."""

    max_tokens_per_query: int = 0
    max_tokens_per_doc: int = 0
    instruction: str | None = None

    def pairs(self, engine: Engine) -> list[tuple[Prompt, Prompt]]:
        """Query and document of each score. Raises ApiError on lengths that do not fit together."""
        for name in ("max_tokens_per_query", "max_tokens_per_doc"):
            limit = getattr(self, name)
            if limit < 0:
                raise bad_request(f"{name} must be a non-negative integer")
            if limit >= engine.max_model_len:
                raise bad_request(
                    f"{name} ({limit}) must be less than max_model_len ({engine.max_model_len})."
                )
        queries, documents = (_texts(side) for side in self.sides())
        if len(queries) > 1 and len(queries) != len(documents):
            raise bad_request(LENGTHS)
        if not queries:
            raise bad_request("At least one text element must be given")
        if not documents:
            raise bad_request("At least one text_pair element must be given")
        first = [_cut(text_prompt(text), self.max_tokens_per_query) for text in queries]
        second = [_cut(text_prompt(text), self.max_tokens_per_doc) for text in documents]
        return list(zip(first * len(second) if len(first) == 1 else first, second, strict=True))

    @abstractmethod
    def sides(self) -> tuple[Texts, Texts]:
        """Queries and documents, as this request calls them."""


class RerankRequest(ScoringRequest):
    """POST /rerank, /v1/rerank, /v2/rerank: as Jina and Cohere have it."""

    query: Text
    documents: Texts
    top_n: int = Field(0, ge=0)

    def sides(self) -> tuple[Texts, Texts]:
        return self.query, self.documents


class ScoreOfQueries(ScoringRequest):
    queries: Texts
    documents: Texts

    def sides(self) -> tuple[Texts, Texts]:
        return self.queries, self.documents


class ScoreOfItems(ScoringRequest):
    queries: Texts
    items: Texts

    def sides(self) -> tuple[Texts, Texts]:
        return self.queries, self.items


class ScoreOfData(ScoringRequest):
    data_1: Texts
    data_2: Texts

    def sides(self) -> tuple[Texts, Texts]:
        return self.data_1, self.data_2


class ScoreOfTexts(ScoringRequest):
    text_1: Texts
    text_2: Texts

    def sides(self) -> tuple[Texts, Texts]:
        return self.text_1, self.text_2


class ScoreRequest(RootModel[ScoreOfQueries | ScoreOfItems | ScoreOfData | ScoreOfTexts]):
    """POST /score, /v1/score. The two sides have four pairs of names."""


def _ended(text: str) -> Prompt:
    """A text with the token that ends it."""
    prompt = text_prompt(text)
    padded = prompt.content.ljust(prompt.tokens * BYTES_PER_TOKEN, b"\0")
    return Prompt(padded + b"\0" * END_BYTES, BYTES_PER_TOKEN)


def _texts(side: Texts) -> list[str]:
    """The texts of one side. Raises ApiError on images and other inputs."""
    texts: list[str] = []
    for each in side if isinstance(side, list) else [side]:
        if not isinstance(each, str):
            raise bad_request("MultiModalParam is not supported for text models")
        texts.append(each)
    return texts


def _cut(prompt: Prompt, tokens: int) -> Prompt:
    if tokens == 0:
        return prompt
    return Prompt(prompt.content[: tokens * prompt.bytes_per_token], prompt.bytes_per_token)


def joined(query: Prompt, document: Prompt, template_tokens: int) -> Prompt:
    """What a model that scores reads: the template with both texts in it."""
    template = b"\0" * (template_tokens * BYTES_PER_TOKEN)
    return Prompt(template + query.content + document.content, BYTES_PER_TOKEN)


def planned(prompts: Sequence[Prompt], asked: PoolingRequest, engine: Engine) -> Request:
    """The engine's request: one prompt after the other is read. Raises ApiError on lengths that cannot be."""
    cut = asked.truncate_prompt_tokens
    limit = engine.max_model_len if cut == -1 else cut
    choices = []
    for prompt in prompts:
        if prompt.largest_id is not None and prompt.largest_id >= engine.model.vocabulary:
            raise bad_request(f"Token id {prompt.largest_id} is out of vocabulary")
        tokens = prompt.tokens if limit is None else min(prompt.tokens, limit)
        if tokens > engine.max_model_len:
            raise _too_long(prompt, engine.max_model_len)
        keys = prompt.block_keys(engine.block_size) if engine.prefix_caching else []
        sequence = EngineSequence(max(1, tokens), 0, keys[: tokens // engine.block_size])
        choices.append(Choice(sequence, ReplyText(0), "stop", None))
    fault = next((found for prompt in prompts if (found := fault_in(prompt.content)) is not None), None)
    return Request(choices=choices, max_tokens=None, prompts=len(prompts), fault=fault)


def _too_long(prompt: Prompt, longest: int) -> ApiError:
    # vLLM stops counting a text's tokens at the first one too many; ids it need not count.
    exact = prompt.largest_id is not None
    counted = prompt.tokens if exact else longest + 1
    qualifier = "at least " if counted == longest + 1 else ""
    return bad_value(
        f"This model's maximum context length is {longest} tokens. However, your prompt contains "
        f"{qualifier}{counted} input tokens, which exceeds this limit even without any output tokens. Please "
        "reduce the length of the input prompt.",
        "input_tokens",
        counted,
    )

"""The HTTP routes of an engine that generates: chat, completions, and SageMaker's one route for both.

The checks come in vLLM's order (0.32.0): the body, the model's name, the bounds of the queue, what depends on
the server's flags, the prompt, the sampling parameters. A response begins then; what is left is looked at
when the request is added to the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from local.engine import answers, deltas
from local.engine.before_fields import before_chat, before_completion
from local.engine.bodies import json_body, parsed
from local.engine.chat import ChatRequest
from local.engine.completions import CompletionRequest
from local.engine.engine_loop import EngineLoop
from local.engine.errors import bad_request, json_response
from local.engine.generation import choice_text, is_echo_only, planned_request, rendered
from local.engine.parts import Parts
from local.engine.protocol import GenerationRequest
from local.engine.request import Choice, Request
from local.engine.sampling import check_vocabulary
from local.engine.server_settings import Server
from local.engine.settings import Engine
from local.engine.streaming import EventStream, Stream, events
from local.engine.tokens import Prompt, token_ids
from local.engine.tools import check_tool_choice, parts_of
from local.engine.version import ENGINE_VERSION
from local.engine.waiting import CALLER_LEFT_STATUS, check_open, enter, finished, look_first

Handler = Callable[[HttpRequest], Awaitable[Response]]


class GenerationRoutes:
    """The handlers, with the engine they answer from."""

    def __init__(self, engine: Engine, server: Server, loop: EngineLoop) -> None:
        self.engine = engine
        self.server = server
        self.loop = loop
        self.fingerprint = f"vllm-{ENGINE_VERSION}-emulator"

    def posts(self) -> Mapping[str, Handler]:
        return {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.completion,
            "/invocations": self.invocations,
        }

    async def chat(self, http: HttpRequest) -> Response:
        return await self.answer_chat(http, await json_body(http))

    async def completion(self, http: HttpRequest) -> Response:
        return await self.answer_text(http, await json_body(http))

    async def invocations(self, http: HttpRequest) -> Response:
        """SageMaker's one route for everything: a conversation if there are messages, else a completion."""
        body = await json_body(http)
        if isinstance(body, dict) and "messages" in body:
            return await self.answer_chat(http, body)
        return await self.answer_text(http, body)

    async def answer_chat(self, http: HttpRequest, body: object) -> Response:
        asked = parsed(ChatRequest, body, before_chat)
        self.look(asked)
        check_tool_choice(asked, self.server.parsers)
        asked.check_template(self.server.trusts_templates)
        parts = partial(parts_of, asked, self.server.parsers)
        return await self.generate(http, asked, answers.ChatAnswer, parts)

    async def answer_text(self, http: HttpRequest, body: object) -> Response:
        before = partial(before_completion, max_prompts=self.server.max_prompts)
        asked = parsed(CompletionRequest, body, before)
        self.look(asked)
        return await self.generate(http, asked, answers.TextAnswer, words_alone)

    def look(self, asked: GenerationRequest) -> None:
        """The model's name and the bounds of the queue. Raises ApiError."""
        self.server.check_model(asked.model)
        look_first(self.loop, 1 if asked.choices == 0 else asked.choices)

    async def generate(
        self,
        http: HttpRequest,
        asked: GenerationRequest,
        answer: answers.Answer,
        parts: Callable[[int], Parts | None],
    ) -> Response:
        model = self.server.check_model(asked.model)
        asked.check_length(self.engine.max_model_len)
        check_open(self.loop)
        prompts = rendered(asked, self.server.media, self.engine)
        asked.check_emulated()
        adapter = model if model in self.server.adapter_names else None
        request = planned_request(asked, prompts, self.engine, self.server.max_choices, adapter, parts)
        await self.loop.render(request)
        identity = http.headers.get("x-request-id") or asked.request_id or answers.new_identity()
        role = asked.answering_role if isinstance(asked, ChatRequest) else "assistant"
        head = answers.Head(model, f"{answer.prefix}-{identity}", self.fingerprint, role)
        echoes = echoed_texts(asked)
        thinks = answer is answers.ChatAnswer and self.server.parsers.reasoning is not None
        if asked.stream:
            stream = Stream(
                head=head,
                answer=answer,
                echoes=echoes,
                echoed_tokens=echoed_tokens(asked, prompts),
                keep_stop=asked.include_stop_str_in_output,
                usage_at_end=asked.wants_usage or self.server.usage_always,
                usage_always=asked.wants_continuous_usage or self.server.usage_always,
                prompt_details=self.server.prompt_details,
                thinks=thinks,
                interval=max(self.server.stream_interval, asked.stream_interval or 1),
            )
            entering = partial(self.add, asked, request)
            return EventStream(events(stream, request, entering), lambda: self.loop.abort(request), {})
        self.add(asked, request)
        if not await finished(http, self.loop, request):
            return Response(status_code=CALLER_LEFT_STATUS)
        replies = [whole_reply(asked, echo, c) for echo, c in zip(echoes, request.choices, strict=True)]
        counts = answers.whole_usage(request, self.server.prompt_details, thinks)
        return json_response(answer.whole(head, replies, request, counts))

    def add(self, asked: GenerationRequest, request: Request) -> None:
        """The last checks, and the queue. Raises ApiError."""
        thinks = self.server.parsers.reasoning is not None
        check_vocabulary(asked, self.engine.model.vocabulary, thinks)
        if any(not choice.sequence.prompt_tokens for choice in request.choices):
            raise bad_request("The decoder prompt cannot be empty")
        enter(self.loop, request)


def words_alone(key: int) -> None:
    """What a reply of /v1/completions is made of."""


def whole_reply(asked: GenerationRequest, echo: str, choice: Choice) -> Mapping[str, Any]:
    """What of a choice is told in a whole answer."""
    keep_stop = asked.include_stop_str_in_output
    if choice.parts is not None:
        return deltas.whole(choice, choice.parts, keep_stop)
    hidden = is_echo_only(asked)
    text = "" if hidden else choice_text(choice, 0, choice.sequence.generated, keep_stop)
    return {"content": echo + text}


def echoed_tokens(asked: GenerationRequest, prompts: Sequence[Prompt]) -> list[list[int]] | None:
    """For each choice the tokens of its prompt; None without `echo`, or where only chat has it."""
    if not isinstance(asked, CompletionRequest) or not asked.echo:
        return None
    return [token_ids(prompt) for prompt in prompts for _ in range(asked.choices)]


def echoed_texts(asked: GenerationRequest) -> list[str]:
    """For each choice the text that precedes it: its prompt with `echo`, else nothing."""
    if not isinstance(asked, CompletionRequest):
        return [""] * asked.choices
    texts = [str(text) if asked.echo else "" for text in asked.texts()]
    return [text for text in texts for _ in range(asked.choices)]

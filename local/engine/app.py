"""The HTTP routes of the emulated server. The routes outside /v1 are open even with --api-key, as in vLLM."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from local.engine import answers
from local.engine.bodies import json_body, parsed
from local.engine.engine_loop import EngineLoop
from local.engine.errors import (
    ApiError,
    bad_request,
    json_response,
    too_many_choices,
    unknown_model,
)
from local.engine.generation import choice_text, is_echo_only, planned_request
from local.engine.http_metrics import HttpMetrics
from local.engine.keys import RequireKey
from local.engine.pooling_routes import PoolingRoutes
from local.engine.protocol import ChatRequest, CompletionRequest, GenerationRequest
from local.engine.settings import Engine, Server
from local.engine.streaming import EventStream, Stream, events
from local.engine.tokens import BYTES_PER_TOKEN, text_prompt
from local.engine.version import ENGINE_VERSION, emulator_facts
from local.engine.waiting import CALLER_LEFT_STATUS, check_open, enter, finished, look_first


class Routes:
    """The handlers, with the engine they answer from."""

    def __init__(self, engine: Engine, server: Server, loop: EngineLoop, registry: CollectorRegistry) -> None:
        self.engine = engine
        self.server = server
        self.adapters = frozenset() if server.adapters is None else server.adapters.names
        self.loop = loop
        self.registry = registry
        self.started = int(time.time())
        self.fingerprint = f"vllm-{ENGINE_VERSION}-emulator"

    async def chat(self, http: HttpRequest) -> Response:
        asked = parsed(ChatRequest, await json_body(http))
        self.check_tools(asked)
        return await self.generate(http, asked, answers.ChatAnswer)

    async def completion(self, http: HttpRequest) -> Response:
        return await self.generate(http, parsed(CompletionRequest, await json_body(http)), answers.TextAnswer)

    async def invocations(self, http: HttpRequest) -> Response:
        """SageMaker's one route for everything: a conversation if there are messages, else a completion."""
        body = await json_body(http)
        if isinstance(body, dict) and "messages" in body:
            return await self.generate(http, parsed(ChatRequest, body), answers.ChatAnswer)
        return await self.generate(http, parsed(CompletionRequest, body), answers.TextAnswer)

    def check_tools(self, asked: ChatRequest) -> None:
        choice = asked.tool_choice
        automatic = choice == "auto" or (choice is None and bool(asked.tools))
        if asked.tools and automatic and not self.server.tools:
            raise bad_request(
                '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
            )

    def check_model(self, name: str | None) -> str:
        """The served name or adapter that answers; no name means the first. Raises ApiError on an unknown
        one."""
        if name and name not in self.server.served_names and name not in self.adapters:
            raise unknown_model(name, self.server.served_names)
        return name or self.server.served_names[0]

    async def generate(self, http: HttpRequest, asked: GenerationRequest, answer: answers.Answer) -> Response:
        model = self.check_model(asked.model)
        look_first(self.loop, 1 if asked.choices == 0 else asked.choices)
        asked.check()
        if asked.choices > self.server.max_choices:
            raise too_many_choices(asked.choices, self.server.max_choices)
        prompts = asked.prompts()
        check_open(self.loop)
        adapter = model if model in self.adapters else None
        request = planned_request(asked, prompts, self.engine, adapter)
        await self.loop.render(request)
        identity = http.headers.get("x-request-id") or asked.request_id or answers.new_identity()
        head = answers.Head(model, f"{answer.prefix}-{identity}", self.fingerprint)
        echoes = echoed_texts(asked)
        if asked.stream:
            stream = Stream(
                head=head,
                answer=answer,
                prompts=len(prompts),
                echoes=echoes,
                keep_stop=asked.include_stop_str_in_output,
                usage_at_end=asked.wants_usage or self.server.usage_always,
                usage_always=asked.wants_continuous_usage,
                prompt_details=self.server.prompt_details,
                interval=self.server.stream_interval,
            )
            entering = partial(enter, self.loop, request)
            return EventStream(events(stream, request, entering), lambda: self.loop.abort(request), {})
        enter(self.loop, request)
        if not await finished(http, self.loop, request):
            return Response(status_code=CALLER_LEFT_STATUS)
        hidden = is_echo_only(asked)
        texts = [
            echo
            + ("" if hidden else choice_text(c, 0, c.sequence.generated, asked.include_stop_str_in_output))
            for echo, c in zip(echoes, request.choices, strict=True)
        ]
        counts = answers.whole_usage(request, len(prompts), self.server.prompt_details)
        return json_response(answer.whole(head, texts, request, counts))

    async def models(self, http: HttpRequest) -> Response:
        length = self.engine.max_model_len
        cards = [
            self.model_card(name, self.engine.model.name, None, length) for name in self.server.served_names
        ]
        loaded = () if self.server.adapters is None else self.server.adapters.loaded
        cards += [self.model_card(adapter.name, adapter.path, adapter.parent, None) for adapter in loaded]
        return json_response({"object": "list", "data": cards})

    def model_card(
        self, name: str, root: str, parent: str | None, max_model_len: int | None
    ) -> dict[str, object]:
        permission = {
            "id": f"modelperm-{answers.new_identity()}",
            "object": "model_permission",
            "created": self.started,
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        return {
            "id": name,
            "object": "model",
            "created": self.started,
            "owned_by": "vllm",
            "root": root,
            "parent": parent,
            "max_model_len": max_model_len,
            "permission": [permission],
        }

    async def health(self, http: HttpRequest) -> Response:
        """200 for as long as the process serves, during shutdown too; vLLM's check does not ask the GPU."""
        return Response()

    async def version(self, http: HttpRequest) -> Response:
        return json_response({"version": ENGINE_VERSION, **emulator_facts(self.engine)})

    async def load(self, http: HttpRequest) -> Response:
        """Counts only with --enable-server-load-tracking, which the emulator does not have."""
        return json_response({"server_load": 0})

    async def metrics(self, http: HttpRequest) -> Response:
        """Always the plain text format, whatever is asked for: vLLM's route does not negotiate."""
        return Response(generate_latest(self.registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def tokenize(self, http: HttpRequest) -> Response:
        body = await json_body(http)
        check_open(self.loop)
        if isinstance(body, dict) and "messages" in body:
            prompt = parsed(ChatRequest, body).prompts()[0]
        elif isinstance(body, dict) and isinstance(body.get("prompt"), str):
            prompt = text_prompt(body["prompt"])
        else:
            raise bad_request("tokenize needs a prompt or messages", "prompt")
        content, width = prompt.content, prompt.bytes_per_token
        ids = [int.from_bytes(content[at : at + width], "little") for at in range(0, len(content), width)]
        return json_response(
            {"count": len(ids), "max_model_len": self.engine.max_model_len, "tokens": ids, "token_strs": None}
        )

    async def detokenize(self, http: HttpRequest) -> Response:
        body = await json_body(http)
        ids = body.get("tokens") if isinstance(body, dict) else None
        if not isinstance(ids, list) or not all(isinstance(each, int) and 0 <= each < 2**32 for each in ids):
            raise bad_request("detokenize needs a list of token ids", "tokens")
        content = b"".join(each.to_bytes(BYTES_PER_TOKEN, "little").rstrip(b"\0") for each in ids)
        return json_response({"prompt": content.decode(errors="replace")})


def echoed_texts(asked: GenerationRequest) -> list[str]:
    """For each choice the text that precedes it: its prompt with `echo`, else nothing."""
    if not isinstance(asked, CompletionRequest):
        return [""] * asked.choices
    texts = [str(text) if asked.echo else "" for text in asked.texts()]
    return [text for text in texts for _ in range(asked.choices)]


async def api_error(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def http_error(http: HttpRequest, error: Exception) -> Response:
    """Unknown paths and methods: FastAPI's shape, which is what vLLM answers."""
    assert isinstance(error, HTTPException)
    return json_response({"detail": error.detail}, error.status_code)


Handler = Callable[[HttpRequest], Awaitable[Response]]


def make_app(
    engine: Engine, server: Server, loop: EngineLoop, registry: CollectorRegistry
) -> HttpMetrics | RequireKey:
    """The ASGI application: routes, API keys, and the HTTP metrics around everything."""
    routes = Routes(engine, server, loop, registry)
    posts: dict[str, Handler] = {"/tokenize": routes.tokenize, "/detokenize": routes.detokenize}
    # An engine has the paths of its own task; on all others vLLM answers 404, too.
    if engine.pooling is None:
        posts |= {
            "/v1/chat/completions": routes.chat,
            "/v1/completions": routes.completion,
            "/invocations": routes.invocations,
        }
    else:
        posts |= PoolingRoutes(engine, engine.pooling, server, loop).posts()
    gets: dict[str, Handler] = {
        "/v1/models": routes.models,
        "/health": routes.health,
        "/version": routes.version,
        "/load": routes.load,
        "/metrics": routes.metrics,
    }
    table = [
        *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
        *(Route(path, handler, methods=["GET"]) for path, handler in gets.items()),
        Route("/ping", routes.health, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=table, exception_handlers={ApiError: api_error, HTTPException: http_error})
    paths = frozenset((*posts, *gets, "/ping"))
    guarded = RequireKey(app, server.api_keys) if server.api_keys else app
    return HttpMetrics(guarded, registry, paths)

"""The HTTP routes of an engine that generates nothing: /v1/embeddings, and scores of texts for a query."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from local.engine import answers, pooling_answers
from local.engine.bodies import json_body, parsed
from local.engine.engine_loop import EngineLoop
from local.engine.errors import ApiError, json_response
from local.engine.pooling import (
    EmbeddingRequest,
    PoolingRequest,
    RerankRequest,
    ScoreRequest,
    ScoringRequest,
    joined,
    planned,
)
from local.engine.pooling_settings import Pooling
from local.engine.request import Request
from local.engine.server_settings import Server
from local.engine.settings import Engine
from local.engine.tokens import Prompt
from local.engine.waiting import CALLER_LEFT_STATUS, check_open, enter, finished, look_first

Handler = Callable[[HttpRequest], Awaitable[Response]]


class PoolingRoutes:
    """The handlers, with the engine they answer from."""

    def __init__(self, engine: Engine, pooling: Pooling, server: Server, loop: EngineLoop) -> None:
        self.engine = engine
        self.pooling = pooling
        self.loop = loop
        self.served_names = server.served_names

    def posts(self) -> Mapping[str, Handler]:
        """Handlers by path. Scores can be had of embeddings too: vLLM compares them."""
        scoring: dict[str, Handler] = {
            "/rerank": self.rerank,
            "/v1/rerank": self.rerank,
            "/v2/rerank": self.rerank,
            "/score": self.score,
            "/v1/score": self.score,
        }
        return {"/v1/embeddings": self.embeddings, **scoring} if self.pooling.task == "embed" else scoring

    async def embeddings(self, http: HttpRequest) -> Response:
        asked = parsed(EmbeddingRequest, await json_body(http))
        self.check(asked)
        asked.check_encoding()
        asked.width(self.pooling, self.served_names[0])
        prompts = asked.prompts()
        request = await self.computed(http, prompts, asked)
        if request is None:
            return Response(status_code=CALLER_LEFT_STATUS)
        return json_response(
            pooling_answers.embeddings(
                asked, prompts, self.pooling, self.served_names[0], identity(http, asked), request
            )
        )

    async def rerank(self, http: HttpRequest) -> Response:
        asked = parsed(RerankRequest, await json_body(http))
        pairs, request = await self.scored(http, asked)
        if request is None:
            return Response(status_code=CALLER_LEFT_STATUS)
        found = pooling_answers.scores(pairs, asked, self.pooling)
        return json_response(
            pooling_answers.ranking(asked, found, self.served_names[0], identity(http, asked), request)
        )

    async def score(self, http: HttpRequest) -> Response:
        asked = parsed(ScoreRequest, await json_body(http)).root
        pairs, request = await self.scored(http, asked)
        if request is None:
            return Response(status_code=CALLER_LEFT_STATUS)
        found = pooling_answers.scores(pairs, asked, self.pooling)
        return json_response(
            pooling_answers.score_list(found, self.served_names[0], identity(http, asked), request)
        )

    def check(self, asked: PoolingRequest) -> None:
        """Raises ApiError on an unknown model. No name means the first, under which all are answered."""
        if asked.model and asked.model not in self.served_names:
            raise ApiError(404, "NotFoundError", f"The model `{asked.model}` does not exist.")
        asked.check_truncation(self.engine)

    async def scored(
        self, http: HttpRequest, asked: ScoringRequest
    ) -> tuple[Sequence[tuple[Prompt, Prompt]], Request | None]:
        """The pairs that are to be scored, and the request that has read them."""
        self.check(asked)
        pairs = asked.pairs(self.engine)
        if self.pooling.task == "classify":
            prompts = [joined(*pair, self.pooling.template_tokens) for pair in pairs]
        else:
            # One query for many documents is read once, and in the pairs it is one object.
            queries = {id(query): query for query, _ in pairs}
            prompts = [*queries.values(), *(document for _, document in pairs)]
        return pairs, await self.computed(http, prompts, asked)

    async def computed(
        self, http: HttpRequest, prompts: Sequence[Prompt], asked: PoolingRequest
    ) -> Request | None:
        """The request once the engine has read all its prompts; None if the caller left before."""
        look_first(self.loop, 1)
        check_open(self.loop)
        request = planned(prompts, asked, self.engine)
        await self.loop.render(request)
        enter(self.loop, request)
        return request if await finished(http, self.loop, request) else None


def identity(http: HttpRequest, asked: PoolingRequest) -> str:
    return http.headers.get("x-request-id") or asked.request_id or answers.new_identity()

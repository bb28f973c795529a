"""/tokenize and /detokenize."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, Field, RootModel
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from local.engine.before_fields import check_generation_prompt
from local.engine.bodies import json_body, parsed
from local.engine.chat import Templated, Tool
from local.engine.engine_loop import EngineLoop
from local.engine.errors import json_response
from local.engine.messages import turns
from local.engine.protocol import INT64
from local.engine.server_settings import Server
from local.engine.settings import Engine
from local.engine.tokens import BYTES_PER_TOKEN, Prompt, chat_prompt, text_prompt, token_ids
from local.engine.waiting import check_open

Handler = Callable[[HttpRequest], Awaitable[Response]]


class TokenizeText(BaseModel):
    model: str | None = None
    prompt: str
    add_special_tokens: bool = True
    return_token_strs: bool | None = False


class TokenizeChat(Templated):
    model: str | None = None
    return_token_strs: bool | None = False
    tools: list[Tool] | None = None


class Tokenize(RootModel[TokenizeText | TokenizeChat]):
    """A text or a conversation."""


class Detokenize(BaseModel):
    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0, le=INT64 - 1)]]


class TokenRoutes:
    """The handlers, with the engine whose tokens they count."""

    def __init__(self, engine: Engine, server: Server, loop: EngineLoop) -> None:
        self.engine = engine
        self.server = server
        self.loop = loop

    def posts(self) -> Mapping[str, Handler]:
        return {"/tokenize": self.tokenize, "/detokenize": self.detokenize}

    async def tokenize(self, http: HttpRequest) -> Response:
        asked = parsed(Tokenize, await json_body(http), check_generation_prompt).root
        self.server.check_model(asked.model)
        prompt = self.prompt(asked)
        check_open(self.loop)
        content, width = prompt.content, prompt.bytes_per_token
        parts = [content[at : at + width] for at in range(0, len(content), width)]
        strings = [part.rstrip(b"\0").decode(errors="replace") for part in parts]
        return json_response(
            {
                "count": len(parts),
                "max_model_len": self.engine.max_model_len,
                "tokens": token_ids(prompt),
                "token_strs": strings if asked.return_token_strs else None,
            }
        )

    def prompt(self, asked: TokenizeText | TokenizeChat) -> Prompt:
        if isinstance(asked, TokenizeText):
            return text_prompt(asked.prompt)
        asked.check_template(self.server.trusts_templates)
        check_open(self.loop)
        found = turns(asked.messages, self.server.media)
        asked.check_continuation()
        return chat_prompt(found)

    async def detokenize(self, http: HttpRequest) -> Response:
        asked = parsed(Detokenize, await json_body(http))
        self.server.check_model(asked.model)
        check_open(self.loop)
        whole = [token % 2 ** (8 * BYTES_PER_TOKEN) for token in asked.tokens]
        content = b"".join(token.to_bytes(BYTES_PER_TOKEN, "little").rstrip(b"\0") for token in whole)
        return json_response({"prompt": content.decode(errors="replace")})

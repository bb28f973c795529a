"""Tools: whether a server can call any."""

from __future__ import annotations

from local.engine.chat import ChatRequest, NamedTool
from local.engine.errors import bad_request
from local.engine.server_settings import Server


def check_tool_choice(asked: ChatRequest, server: Server) -> None:
    """Raises ApiError on tools that a server without a parser for them would have to call."""
    choice = asked.tool_use
    if server.tools or choice is None or choice == "none":
        return
    if choice == "auto":
        raise bad_request(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        )
    described = f'function "{choice.function.name}"' if isinstance(choice, NamedTool) else f'"{choice}"'
    raise bad_request(f"tool_choice={described} requires --tool-call-parser to be set")

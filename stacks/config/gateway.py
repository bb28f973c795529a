"""`gateway`: the OpenAI-compatible entrance."""

from __future__ import annotations

from pydantic import Field

from stacks.config.section import Section


class Gateway(Section, frozen=True):
    """The OpenAI-compatible entrance."""

    replicas: int = Field(ge=1, le=100, description="gateway pods, 1 to 100")
    max_request_mib: int = Field(ge=1, le=100, description="largest request body in MiB, 1 to 100")

"""`models[].tool_calls`, `reasoning` and `chat_template_kwargs`: how an engine reads tools and thoughts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from stacks.config.section import Section


def _switch(value: object) -> object:
    """PyYAML reads YAML 1.1, in which an unquoted on or off is a boolean; Pulumi's own reader does not."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["on", "off"], BeforeValidator(_switch)]

PARSER = 'a name of sizing/models/data/vllm_parsers.yaml, or "none" for no parser, whatever its row says'


class ToolCalls(Section, frozen=True):
    """How the engine finds calls of tools in what the model writes."""

    parser: str = Field(min_length=1, description=f"tool parser: {PARSER}")


class Reasoning(Section, frozen=True):
    """How the engine finds thoughts in what the model writes, and whether the model thinks."""

    parser: str | None = Field(
        default=None, min_length=1, description=f"reasoning parser: {PARSER}; left out, that of the row"
    )
    default: Switch | None = Field(
        default=None,
        description="whether the model thinks when a request does not say; left out, as it was trained",
    )


class TemplateArguments(BaseModel, frozen=True):
    """Arguments that the chat template gets with every request that does not set them itself."""

    model_config = ConfigDict(extra="allow", strict=True)
    # Pydantic's way to give extra keys a type.
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def values(self) -> dict[str, JsonValue]:
        return dict(self.__pydantic_extra__)

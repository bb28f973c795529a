"""A model as clients see it: the names it answers to, and which Services stand behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from serving.names import ENGINE_PORT
from sizing.models.task import Task

TEAM_SHARE_OF_MODEL = 0.8
"""Unless a stack says otherwise: a team that is alone loses little, and the others always find a place."""


@dataclass(frozen=True)
class Upstream:
    """How the gateway talks to the engine of a model.

    port: of its API. keep_alive_seconds: after which the engine closes an idle connection. check_path: a path
    whose HEAD costs it nothing, whatever it answers. full_status: what it answers when its queue is full.
    """

    port: int = ENGINE_PORT
    keep_alive_seconds: int = 5
    check_path: str = "/health"
    full_status: int = 503


@dataclass(frozen=True)
class CanaryRoute:
    """The Service with another revision of a model, and the per cent of requests that go there."""

    service: str
    weight: int


@dataclass(frozen=True)
class ServedModel:
    """A model behind the gateway.

    name: its Service, what clients send as `model`, and the right in a token that opens it. aliases: other
    names for the same right. adapters: names that the same engines serve, each a right of its own.
    fallback: the model that answers in its place while it is overloaded or has no replica.
    max_in_flight: requests that one gateway pod lets wait or run for it at most; more get 503.
    most_sequences: what one replica computes and queues together; more in one request are refused with 400,
    because no replica could ever take them. None leaves it to the engine.
    first_byte_seconds: how long a replica may take from a whole request to the first byte of its answer.
    team_share: part of these that one team may hold.
    max_model_len: tokens of prompt and reply together, which clients size their context by.
    root: what is served, a Hugging Face id. adapter_roots: the same of its adapters, by name.
    upstream: how its engine is talked to. timed: whether the gateway times its first tokens, because its
    engine does not.
    """

    name: str
    task: Task
    aliases: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    canary: CanaryRoute | None = None
    fallback: str | None = None
    max_in_flight: int = 1024
    most_sequences: int | None = None
    first_byte_seconds: int = 3600
    team_share: float = TEAM_SHARE_OF_MODEL
    max_model_len: int | None = None
    root: str | None = None
    adapter_roots: Mapping[str, str] = field(default_factory=dict[str, str])
    upstream: Upstream = field(default_factory=Upstream)
    timed: bool = False


def engine_names(model: ServedModel, models: Iterable[ServedModel]) -> Sequence[str]:
    """Every name that the engines of `model` must answer to, its own first.

    Those of the models that fall back to it are among them: the gateway sends a request on as it is.
    """
    lent = (name for other in models if other.fallback == model.name for name in (other.name, *other.aliases))
    return [model.name, *model.aliases, *lent]

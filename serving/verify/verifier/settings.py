"""What the Job tells its program, through variables of its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .failed import Failed

Task = Literal["generate", "embed", "rerank"]


@dataclass(frozen=True)
class Service:
    """A Service as messages speak of it. selector: labels of its pods as kubectl takes them."""

    name: str
    namespace: str
    selector: str


@dataclass(frozen=True)
class Trigger:
    """signal: what the autoscaler reads, by name. query: how. metric: what its HPA calls the value."""

    signal: str
    query: str
    metric: str


@dataclass(frozen=True)
class Model:
    """A model to ask, and the autoscaling to look at.

    asked_as: what clients send as `model`. task: what it is asked for. tool_parser: what should find its
    calls of tools; None if it is not asked with one. minimum: replicas at least; only with 0 may it sleep.
    when_asleep: whether a model with no replica is reported or woken. startup_seconds: how long waking may
    take. triggers: in the order of its autoscaler. engine_series: what their signals are made from.
    listed_at: where its engine says what it serves; None if it refuses other names by itself.
    """

    name: str
    asked_as: str
    task: Task
    tool_parser: str | None
    service: Service
    minimum: int
    when_asleep: Literal["report", "wake"]
    startup_seconds: int
    triggers: tuple[Trigger, ...]
    engine_series: tuple[str, ...]
    listed_at: str | None = None


@dataclass(frozen=True)
class Settings:
    """gateway: its address, such as http://gateway.gateway.svc.cluster.local. service: that of the gateway.

    prometheus: its address. It also knows what the API server says of autoscalers, through
    kube-state-metrics, so that the Job needs no access to the API server.
    token_file: with what is shown to the gateway. seconds: how long a check may be repeated.
    """

    gateway: str
    service: Service
    prometheus: str
    models: tuple[Model, ...]
    token_file: str
    seconds: int


def variables(settings: Settings) -> dict[str, str]:
    """The environment that `read` understands."""
    return {
        "VERIFY_GATEWAY": settings.gateway,
        "VERIFY_SERVICE": json.dumps(asdict(settings.service)),
        "VERIFY_PROMETHEUS": settings.prometheus,
        "VERIFY_MODELS": json.dumps([asdict(model) for model in settings.models]),
        "VERIFY_TOKEN_FILE": settings.token_file,
        "VERIFY_SECONDS": str(settings.seconds),
    }


def read(environment: Mapping[str, str]) -> Settings:
    """What the environment says. Raises Failed if `variables` has not written it."""
    try:
        return Settings(
            gateway=environment["VERIFY_GATEWAY"],
            service=Service(**json.loads(environment["VERIFY_SERVICE"])),
            prometheus=environment["VERIFY_PROMETHEUS"],
            models=tuple(_model(entry) for entry in json.loads(environment["VERIFY_MODELS"])),
            token_file=environment["VERIFY_TOKEN_FILE"],
            seconds=int(environment["VERIFY_SECONDS"]),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise Failed(
            "the variables VERIFY_... are not those that serving/verify/job.py writes "
            f"({type(error).__name__}: {error})"
        ) from None


def _model(entry: dict[str, Any]) -> Model:
    return Model(
        **{
            **entry,
            "service": Service(**entry["service"]),
            "triggers": tuple(Trigger(**trigger) for trigger in entry["triggers"]),
            "engine_series": tuple(entry["engine_series"]),
        }
    )

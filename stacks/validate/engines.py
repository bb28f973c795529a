"""Rules of `models[].engine`: what a section asks of its engine that the engine cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from serving.engines import ENGINES, engine_of
from serving.engines.engine import Engine, Feature
from serving.gateway.first_tokens import EDGES
from stacks.config import Model
from stacks.problems import Problem


def check_engine(path: str, model: Model) -> Iterator[Problem]:
    engine = engine_of(model.engine)
    if model.task not in engine.tasks:
        others = _others(lambda other: model.task in other.tasks)
        yield Problem(f"{path}.task", f'"{model.task}" is not a task of engine {engine.name}: {others}')
    for field in get_args(Feature):
        if getattr(model, field) and field not in engine.features:
            others = _others(lambda other, field=field: field in other.features)
            yield Problem(
                f"{path}.{field}", f"has no effect with engine {engine.name}: remove it, or {others}"
            )
    first = model.slo.ttft.seconds
    if engine.metrics.first_token_buckets is None and first not in EDGES:
        yield Problem(
            f"{path}.slo.ttft.seconds",
            f"{first:g} cannot be measured: engine {engine.name} does not time its first tokens, and the "
            f"gateway counts those within {', '.join(f'{edge:g}' for edge in EDGES)} s. Choose one of these",
        )


def _others(can: Callable[[Engine], bool]) -> str:
    names = [engine.name for engine in ENGINES.values() if can(engine)]
    return f"use {' or '.join(names)}" if names else "no engine does"

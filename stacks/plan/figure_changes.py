"""What two plans compute differently: what a replica holds, how many there are, what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sizing.cost import Span
from stacks.plan.change import Change, Judged, less_is_cheaper, more_is_gain, neutral
from stacks.plan.figures import ModelPlan, Plan, PoolPlan
from stacks.plan.text import placement, triple

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Figure(Generic[Entry]):
    """what: its name. shown: for people; what is shown alike is no change. judged: compares `value`s."""

    what: str
    shown: Callable[[Entry], str]
    value: Callable[[Entry], object]
    judged: Judged


def _nothing(entry: object) -> object:
    del entry
    return None


def _not_spot(pool: PoolPlan) -> int:
    """Machines that are not taken away at short notice: the rest of max_nodes may be."""
    return sum(nodes for kind, nodes in pool.max_nodes_by_capacity.items() if kind != "spot")


MODEL_FIGURES: Sequence[Figure[ModelPlan]] = (
    Figure(
        "each replica",
        placement,
        _nothing,
        neutral,
    ),
    Figure("GiB of weights per GPU", lambda model: f"{model.fit.weights_gib:.1f}", _nothing, neutral),
    Figure(
        "cache tokens per replica",
        lambda model: f"{model.fit.kv_tokens}",
        lambda model: model.fit.kv_tokens,
        more_is_gain,
    ),
    Figure(
        "full-length requests per replica",
        lambda model: f"{model.fit.max_concurrency:.1f}",
        lambda model: model.fit.max_concurrency,
        more_is_gain,
    ),
    Figure(
        "requests at once per replica",
        lambda model: f"{model.max_num_seqs}",
        lambda model: model.max_num_seqs,
        more_is_gain,
    ),
    Figure(
        "requests/s per replica",
        lambda model: f"{model.requests_per_second:.2f}",
        lambda model: model.requests_per_second,
        more_is_gain,
    ),
    Figure(
        "requests/s at most",
        lambda model: f"{model.by_rate.most:.1f}",
        lambda model: model.by_rate.most,
        more_is_gain,
    ),
    Figure("step times", lambda model: model.timing, _nothing, neutral),
    Figure(
        "replicas",
        lambda model: f"{model.replicas_min} / {model.replicas_expected} / {model.replicas_max}",
        _nothing,
        neutral,
    ),
    Figure("GPUs", lambda model: triple(model.gpus), _nothing, neutral),
    Figure(
        "$/month",
        lambda model: triple(model.usd_per_hour.per_month),
        lambda model: model.usd_per_hour,
        less_is_cheaper,
    ),
    Figure(
        "$ per million output tokens",
        lambda model: "-" if model.tokens.output_usd is None else f"{model.tokens.output_usd:.2f}",
        lambda model: model.tokens.output_usd,
        less_is_cheaper,
    ),
    Figure(
        "$ per million tokens",
        lambda model: f"{model.tokens.total_usd:.2f}",
        lambda model: model.tokens.total_usd,
        less_is_cheaper,
    ),
)

POOL_FIGURES: Sequence[Figure[PoolPlan]] = (
    Figure("machine", lambda pool: pool.machine, _nothing, neutral),
    Figure(
        "machines at most that are not spot",
        lambda pool: f"{_not_spot(pool)}",
        lambda pool: _not_spot(pool),
        more_is_gain,
    ),
    Figure("machines", lambda pool: triple(pool.machines), _nothing, neutral),
    Figure(
        "GPUs paid for",
        lambda pool: triple(pool.machines.times(pool.gpus_per_machine)),
        _nothing,
        neutral,
    ),
    Figure(
        "$/month",
        lambda pool: triple(pool.usd_per_hour.per_month),
        lambda pool: pool.usd_per_hour,
        less_is_cheaper,
    ),
)

AMOUNT_FIGURES: Sequence[Figure[Span]] = (
    Figure(
        "$/month",
        lambda usd: triple(usd.per_month),
        lambda usd: usd,
        less_is_cheaper,
    ),
)


def figure_changes(before: Plan, after: Plan, renamed: Mapping[str, str]) -> list[Change]:
    """Figures that differ, of models, pools and costs that both plans have.

    renamed: models by the name that they had before.
    """
    return [
        *_changes(_models(before, renamed), _models(after, {}), MODEL_FIGURES),
        *_changes(_pools(before), _pools(after), POOL_FIGURES),
        *_changes(_amounts(before), _amounts(after), AMOUNT_FIGURES),
    ]


def _changes(
    before: Mapping[str, Entry], after: Mapping[str, Entry], known: Sequence[Figure[Entry]]
) -> Iterator[Change]:
    for name, entry in after.items():
        old = before.get(name)
        if old is None:
            continue
        for figure in known:
            was, now = figure.shown(old), figure.shown(entry)
            if was != now:
                effect = figure.judged(figure.value(old), figure.value(entry))
                yield Change(name, figure.what, was, now, effect)


def _models(plan: Plan, renamed: Mapping[str, str]) -> Mapping[str, ModelPlan]:
    return {renamed.get(model.name, model.name): model for model in plan.models}


def _pools(plan: Plan) -> Mapping[str, PoolPlan]:
    return {f"pool {pool.name}": pool for pool in plan.pools}


def _amounts(plan: Plan) -> Mapping[str, Span]:
    return {**{cost.label: cost.usd_per_hour for cost in plan.fixed}, "in all": plan.usd_per_hour}

"""A plan in plain text: the outline that Pulumi shows, and the lines below the tables of `make plan`."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.cost import Span, TokenPrice
from stacks.plan.catalogue import OVERRIDDEN
from stacks.plan.figures import ModelPlan, Plan, PoolPlan


def outline(plan: Plan) -> dict[str, object]:
    """The plan as an output of the stack: a preview shows what changes in it, an update all of it, once.

    Three figures are minimum, expected and maximum. Nothing in it depends on the day it is made.
    """
    return {
        "models": {model.name: _model_outline(model) for model in plan.models},
        "node_pools": {pool.name: _pool_outline(pool) for pool in plan.pools},
        "usd_per_month": f"{triple(plan.usd_per_hour.per_month)}, at {prices(plan)}",
        "without_effect": _without_effect(plan),
    }


def _without_effect(plan: Plan) -> list[str]:
    """A line for each reason."""
    paths: dict[str, list[str]] = {}
    for field in plan.no_effect_yet:
        paths.setdefault(field.reason, []).append(field.path)
    return [f"{', '.join(found)}: {reason}" for reason, found in paths.items()]


def triple(span: Span) -> str:
    """Minimum, expected and maximum in whole numbers."""
    return f"{span.minimum:.0f} / {span.expected:.0f} / {span.maximum:.0f}"


def placement(model: ModelPlan) -> str:
    """What one replica runs on."""
    return f"{model.tensor_parallel} x {model.accelerator} in {model.machine}"


def _model_outline(model: ModelPlan) -> str:
    """Within the 150 characters after which Pulumi cuts off a value that did not change."""
    return (
        f"{model.replicas_min} / {model.replicas_expected} / {model.replicas_max} replicas of "
        f"{model.tensor_parallel} x {model.accelerator}, {triple(model.usd_per_hour.per_month)} $/month; "
        f"context {model.replica.max_model_len}, {model.fit.max_concurrency:.1f} full-length requests, "
        f"{model.max_num_seqs} at once"
    )


def _pool_outline(pool: PoolPlan) -> str:
    shares = ", then ".join(f"{nodes} {kind}" for kind, nodes in pool.max_nodes_by_capacity.items())
    usd = triple(pool.usd_per_hour.per_month)
    return f"{triple(pool.machines)} x {pool.machine} (at most {shares}); {usd} $/month"


def remarks(plan: Plan) -> list[str]:
    """What tables do not say: speeds, prices of tokens, cheaper machines, what is paid without serving."""
    return [
        *(line for model in plan.models for line in _model_remarks(model, plan)),
        *(line for pool in plan.pools for line in _pool_remarks(pool)),
    ]


def prices(plan: Plan) -> str:
    regions = [region for region in plan.price_regions if region != OVERRIDDEN]
    listed = [f"list prices of {', '.join(regions)}"] if regions else []
    own = ["the stack's own prices"] if OVERRIDDEN in plan.price_regions else []
    return f"{' and '.join(listed + own)}, of {plan.prices_as_of.isoformat()} or later"


def main_price(tokens: TokenPrice) -> float:
    """Of a million output tokens, or of all where a model generates none."""
    return tokens.total_usd if tokens.output_usd is None else tokens.output_usd


def _model_remarks(model: ModelPlan, plan: Plan) -> Iterator[str]:
    sleeps = ", may sleep" if model.replicas_min == 0 else ""
    replicas = "1 replica" if model.replicas_expected == 1 else f"{model.replicas_expected} replicas"
    output = model.tokens.output_usd
    price = f"{model.tokens.total_usd:.2f} $ per million tokens"
    if output is not None:
        price = f"{output:.2f} $ per million output tokens, {model.tokens.total_usd:.2f} $ of all"
    yield (
        f"{model.name}: {model.requests_per_second:.2f} requests/s and {model.max_num_seqs} at once per "
        f"replica ({model.timing} step times), {replicas} under expected_load{sleeps}; "
        f"{price}, at {plan.utilization:.0%} utilization"
    )
    adapters = f", {model.fit.adapters_gib:.1f} for adapters" if model.fit.adapters_gib > 0 else ""
    yield (
        f"{model.name}: {model.fit.weights_gib:.1f} GiB of weights{adapters} and "
        f"{model.fit.kv_pool_gib:.1f} GiB of cache per GPU (+-{model.fit.uncertainty_pct:.0f} %): "
        f"{model.fit.kv_tokens} tokens, {model.fit.max_concurrency:.1f} requests of full length"
    )
    if model.chat is not None:
        counted = "; output_tokens must count them" if model.chat.thinks else ""
        yield f"{model.name}: {model.chat.described()}{counted}"
    if model.cheaper is not None:
        option = model.cheaper
        yield (
            f"{model.name}: {option.machine} would serve it for {option.usd_per_hour:.2f} instead of "
            f"{option.instead_of_usd_per_hour:.2f} $/h ({option.replicas} x tensor_parallel "
            f"{option.tensor_parallel}, {option.timing} step times)"
        )


def _pool_remarks(pool: PoolPlan) -> Iterator[str]:
    """How a pool buys its machines, and which of them are paid for without serving a request."""
    for capacity in pool.capacity_not_sold:
        yield f"{pool.name}: capacity {capacity} has no effect, this cluster does not sell it"
    shares = pool.max_nodes_by_capacity
    if len(shares) > 1:
        total = sum(shares.values())
        yield (
            f"{pool.name}: max_nodes {total} is shared out: "
            f"{', then '.join(f'{nodes} {kind}' for kind, nodes in shares.items())}; the next once the one "
            "before is sold out or used up. A share is not passed on: "
            f"{', '.join(f'without {kind} at most {total - nodes}' for kind, nodes in shares.items())} nodes"
        )
    if pool.warm_machines.minimum > 0:
        yield (
            f"{pool.name}: {pool.warm_machines.minimum:.0f} x {pool.machine} warm for "
            f"{pool.warm_usd_per_hour.minimum:.2f} $/h: the next replica finds a machine at once"
        )
    if pool.gpus_idle_min > 0:
        in_use = pool.gpus.minimum + pool.gpus_idle_min
        yield (
            f"{pool.name}: {pool.gpus_idle_min:.0f} of {in_use:.0f} GPUs idle at minimum for "
            f"{pool.usd_per_hour_idle_min:.2f} $/h: {pool.machine} is charged whole. Smaller "
            "machines, or more models in this pool, avoid it"
        )

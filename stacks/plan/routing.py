"""The models of a stack as clients see them, and how much of their traffic a gateway pod lets through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

from serving.engines import engine_of
from serving.gateway.served import CanaryRoute, ServedModel, engine_names
from stacks.config import Gateway
from stacks.plan.canary import canary_name
from stacks.plan.sizing import Sized, itl_seconds

GATEWAY_IMBALANCE = 1.5
"""How much more than its share of a model's requests one gateway pod may hold: which pod a request meets
is up to the clients' connections."""

PATIENCE = 2
"""How much longer than planned the slowest request may take before its replica counts as stuck."""

LEAST_PATIENCE_SECONDS = 60
"""Of models whose longest request takes seconds: above what a replica needs to compile a new shape."""


def served_model(sized: Sized, gateway: Gateway) -> ServedModel:
    """A model, which is no canary, behind this gateway."""
    model = sized.section
    return ServedModel(
        name=model.name,
        task=model.task,
        aliases=model.aliases,
        adapters=tuple(adapter.name for adapter in model.adapters),
        canary=None
        if model.canary is None
        else CanaryRoute(service=canary_name(model), weight=model.canary.weight),
        fallback=model.fallback,
        max_in_flight=_max_in_flight(sized, gateway.replicas),
        most_sequences=sized.places,
        first_byte_seconds=first_byte_seconds(sized),
        team_share=gateway.rate_limit.share_of_model,
        max_model_len=model.max_model_len,
        root=model.model,
        adapter_roots={adapter.name: adapter.source for adapter in model.adapters},
        upstream=engine_of(model.engine).upstream,
        timed=engine_of(model.engine).metrics.first_token_buckets is None,
    )


def served_names(models: Iterable[ServedModel]) -> Mapping[str, tuple[str, ...]]:
    """What the engines of each Deployment answer to; a canary answers as its model does."""
    models = tuple(models)
    names = {model.name: tuple(engine_names(model, models)) for model in models}
    canaries = {model.canary.service: names[model.name] for model in models if model.canary is not None}
    return {**names, **canaries}


def _max_in_flight(sized: Sized, gateway_pods: int) -> int:
    """What the model's replicas can compute and queue at most, or a gateway pod's share of it.

    More could only wait for a refusal: the engines' queues are full by then.
    """
    all_replicas = sized.section.replicas.max * sized.places
    return min(all_replicas, ceil(all_replicas * GATEWAY_IMBALANCE / gateway_pods))


def first_byte_seconds(sized: Sized) -> int:
    """How long a replica that works may take for the first byte of an answer.

    An answer that is not streamed has its first byte at its end, so this is the longest reply, after as many
    rounds of such replies as the queue holds, each token as late as promised. A model that generates nothing
    computes all that it may hold, each input as long as it may be, at the rate that it is planned for.
    """
    model, capacity = sized.section, sized.capacity
    between = itl_seconds(model)
    if between is None:
        load = model.expected_load
        per_second = capacity.requests_per_second * load.inputs * load.prompt_tokens
        planned = sized.places * model.max_model_len / per_second
    else:
        longest = model.max_model_len if model.max_output_tokens is None else model.max_output_tokens
        planned = sized.places / capacity.max_num_seqs * (longest * between + model.slo.ttft.seconds)
    return max(LEAST_PATIENCE_SECONDS, ceil(PATIENCE * planned))

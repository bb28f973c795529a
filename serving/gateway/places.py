"""How many requests of one team may wait or run at a model at once, so that the others find a place there.

A model has a bound of places in each pod (`ServedModel.max_in_flight`), for all teams together. Without
a bound of its own, a team whose requests are long holds them all for as long as it likes, whatever its rate.
Envoy 1.40 counts requests in flight by cluster, not by what a token says, and its local rate limit cannot
give back at a request's end what the request took, so this is a script. Each thread counts by itself and has
its part of the bound; connections are spread evenly over the threads (`exact_balance`).

It runs with the script that reads the body (scripts.py), which a filter of its own would cost 6 us for each
request. So it knows the model but not yet the route: the virtual host has a list of all names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.gateway.authentication import TEAM_HEADER
from serving.gateway.documents import Document, typed
from serving.gateway.lua import DATA, with_constants
from serving.gateway.memory import WORKER_THREADS
from serving.gateway.metadata import METADATA, OVER_PLACES, printable
from serving.gateway.request_body import FILTER
from serving.gateway.served import ServedModel

SCRIPT = DATA / "places.lua"

LEAST = 8
"""What a team may have in each thread however few places a model has: clients send some requests at once.
Where a pod has 16 places or fewer for a model, one team may hold all of them."""

LUA_PER_ROUTE = "extensions.filters.http.lua.v3.LuaPerRoute"


def places_script() -> str:
    """The script, right after the one that reads the body. Who is over gets 429."""
    constants = {"TEAM": TEAM_HEADER, "METADATA": METADATA, "OVER": OVER_PLACES}
    return with_constants(SCRIPT.read_text(encoding="utf-8"), constants)


def places(models: Sequence[ServedModel]) -> Mapping[str, Document]:
    """`typed_per_filter_config` of the virtual host: what a team may have, by every name of a model."""
    context = {
        printable(name): {"model": model.name, "most": places_of_a_team(model, models)}
        for model in models
        if model.team_share < 1
        for name in (model.name, *model.aliases, *model.adapters)
    }
    return {FILTER: typed(LUA_PER_ROUTE, filter_context=context)}


def places_of_a_team(model: ServedModel, models: Sequence[ServedModel]) -> int:
    """Requests of one team at this model in one thread of a pod.

    The fallback's places are among them: there go the requests for which the model has none.
    """
    fallback = next((other for other in models if other.name == model.fallback), None)
    places = model.max_in_flight + (0 if fallback is None else fallback.max_in_flight)
    return max(LEAST, int(places * model.team_share / WORKER_THREADS))

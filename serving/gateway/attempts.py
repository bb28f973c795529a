"""Which clusters a request may go to, and which of them each attempt goes to.

A request is sent again only before the first byte of its answer; tries.py says how often. Where a model has
a canary or a fallback, Envoy's composite cluster gives each attempt a cluster of its own. One without a
replica, or one that no longer exists, is passed over within the same attempt (both tried on Envoy 1.40), so
that a canary that refuses, breaks off or is gone fails no request.

An engine says 503 when its queue is full. That is tried again only where another Service can take it: on the
same replicas it would be load on top of overload.
"""

from __future__ import annotations

from dataclasses import dataclass

from serving.gateway.affinity import Balancing
from serving.gateway.documents import Document, typed
from serving.gateway.served import ServedModel
from serving.gateway.tries import RETRIES

SELECTIONS = 16
"""How often a retry looks for a host that was not tried yet. The next place that a key hashes to is often the
same host: with two replicas, every second time."""

AFFINITY = "_affinity"
"""End of the name of a cluster that hashes. No Service's name has an underscore."""

LUA_CLUSTER = "extensions.router.cluster_specifiers.lua.v3.LuaConfig"


@dataclass(frozen=True)
class Destination:
    """Where the requests of a route go.

    attempts: the Service of each attempt; a single one takes them all. overflow: the Service for requests
    beyond the first Service's bound of requests in flight, which Envoy would refuse and never send again.
    """

    attempts: tuple[str, ...]
    overflow: str | None = None

    def cluster(self, balancing: Balancing) -> str:
        """Name of its cluster: the Services in their order."""
        return cluster_name("_or_".join(dict.fromkeys(self.attempts)), balancing)

    def retry_policy(self, model: ServedModel) -> Document:
        """`retry_policy` of routes of `model`. A try whose first byte takes longer counts as broken off."""
        return {
            # All of these happen before the first byte of an answer; a broken stream is not repeated. A full
            # queue is among them even where no other Service can take the request: the engine's own words are
            # dropped then, and the script in tries.lua answers at once, however its 503 goes on.
            "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
            "retriable_status_codes": [model.upstream.full_status],
            "num_retries": RETRIES,
            "per_try_timeout": f"{model.first_byte_seconds}s",
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
                }
            ],
            "host_selection_retry_max_attempts": SELECTIONS,
        }


def cluster_name(service: str, balancing: Balancing) -> str:
    """Name of the cluster of a Service that chooses its replicas so."""
    return f"{service}{AFFINITY}" if balancing == "affinity" else service


def balancings(model: ServedModel) -> tuple[Balancing, ...]:
    """How its replicas are chosen: also by prefix where one is kept from call to call, by what generates."""
    return ("least_request", "affinity") if model.task == "generate" else ("least_request",)


def own(model: ServedModel) -> Destination:
    """The model's Service alone: also for its adapters, which no fallback has."""
    return Destination((model.name,))


def stable(model: ServedModel) -> Destination:
    """For the model itself: its Service, and its fallback if it has one."""
    if model.fallback is None:
        return own(model)
    # The second try is the model's, too: mostly on another replica, whose queue may have room. The fourth is,
    # and the one that sends nothing: if both are full, the answer is that of the model that was asked.
    others = (model.name, model.fallback, *([model.name] * RETRIES))
    return Destination((model.name, *others[:RETRIES]), overflow=model.fallback)


def choice_of_cluster(destination: Destination, model: ServedModel, balancing: Balancing) -> Document:
    """The part of a route's action that says to which cluster a request goes."""
    cluster = destination.cluster(balancing)
    if destination.overflow is None:
        return {"cluster": cluster}
    script = CHOICE.format(
        counted=", ".join(f'"{name}"' for name in _counted(destination, model)),
        most=model.max_in_flight,
        overflow=cluster_name(destination.overflow, balancing),
        cluster=cluster,
        model=cluster_name(model.name, balancing),
    )
    lua = typed(LUA_CLUSTER, source_code={"inline_string": script}, default_cluster=cluster)
    extension = {"name": "envoy.router.cluster_specifier_plugin.lua", "typed_config": lua}
    return {"inline_cluster_specifier_plugin": {"extension": extension}}


def _counted(destination: Destination, model: ServedModel) -> tuple[str, ...]:
    first = destination.attempts[0]
    return tuple(cluster_name(first, balancing) for balancing in balancings(model))


CHOICE = """\
local counted = {{ {counted} }}
function envoy_on_route(route)
  local in_flight = 0
  for _, name in ipairs(counted) do
    local cluster = route:getCluster(name)
    in_flight = in_flight + (cluster and cluster:numRequests() or 0)
  end
  if in_flight >= {most} and route:getCluster("{overflow}") then
    return "{overflow}"
  end
  return route:getCluster("{cluster}") and "{cluster}" or "{model}"
end
"""
"""Envoy has no other way to go elsewhere when a bound is reached: it refuses, and does not retry that.

Nor does it read routes and clusters at the same moment. While a canary or a fallback comes or goes, a route
may name a cluster that does not exist; the model's own always does.
"""

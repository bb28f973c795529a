"""The canary's share of a model's requests: which they are, and where they go."""

from __future__ import annotations

from serving.gateway.attempts import Destination, stable
from serving.gateway.documents import Document
from serving.gateway.served import CanaryRoute, ServedModel
from serving.gateway.tries import RETRIES


def share(model: ServedModel, canary: CanaryRoute) -> Document:
    """The part of a route's match that takes this share of the requests, by chance."""
    return {
        # The key is mandatory in Envoy's API and allows a change by hand; nothing sets it.
        "runtime_fraction": {
            "default_value": {"numerator": canary.weight, "denominator": "HUNDRED"},
            "runtime_key": f"canary.{model.name}",
        }
    }


def destination(model: ServedModel, canary: CanaryRoute) -> Destination:
    """Where they go: what the canary fails to take goes where the others go."""
    others = stable(model).attempts * (RETRIES + 1)
    return Destination((canary.service, *others[:RETRIES]), overflow=model.name)

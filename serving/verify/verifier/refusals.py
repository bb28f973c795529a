"""Does the gateway refuse what it must?"""

from __future__ import annotations

from .error_answers import openai_error
from .failed import Failed
from .gateway import COMPLETIONS, Gateway, completion

UNKNOWN_MODEL = "no-such-model"
GARBAGE_TOKEN = "not-a-token"


def check_stranger(gateway: Gateway, model: str, token: str | None) -> str:
    """Whoever has no token, or none that is signed, is refused before anything is computed for them."""
    who = "a request without a token" if token is None else "a request with a made-up token"
    answer = gateway.ask_as(token, COMPLETIONS, completion(model, {}))
    if answer.status != 401:
        raise Failed(
            f"{who}: expected 401, got {answer.status}: whoever reaches the gateway can use it. ConfigMap "
            "gateway/gateway-config, listeners.yaml, must have jwt_authn before every other filter"
        )
    return f"{who}: 401"


def check_unknown_model(gateway: Gateway) -> str:
    """A model that does not exist is refused by the gateway, in OpenAI's shape."""
    answer = gateway.ask(COMPLETIONS, completion(UNKNOWN_MODEL, {}))
    code, _ = openai_error(answer.body)
    if answer.status != 404 or code != "model_not_found":
        raise Failed(
            f"unknown model: expected 404 with code model_not_found, got {answer.status} with {code}: "
            "ConfigMap gateway/gateway-config, routes.yaml, lets it through"
        )
    return "unknown model: 404 in OpenAI's shape"


def check_metrics(gateway: Gateway) -> str:
    """The engines' unprotected paths cannot be reached from outside; /metrics stands for all of them."""
    answer = gateway.ask("/metrics", None)
    if answer.status not in (403, 404):
        raise Failed(
            f"/metrics: expected to be refused, got {answer.status}: ConfigMap gateway/gateway-config, "
            "routes.yaml, must list the allowed paths only"
        )
    return f"/metrics: refused with {answer.status}"

"""What an error answer says about the configuration."""

from __future__ import annotations

import base64
import binascii
import json
import time

from .gateway import Answer
from .settings import Model


def explain(answer: Answer, model: Model, token: str) -> str:
    """What to do about an error of the gateway, or of the engine behind it, with the token that was shown."""
    namespace, service = model.service.namespace, model.service.name
    code, message = openai_error(answer.body)
    if answer.status == 503 and code == "model_unavailable":
        return (
            f"no ready endpoint: Service {namespace}/{service} selects {model.service.selector}, and no "
            f"ready pod has that label, or its port is not called http; {look(model)}"
        )
    if answer.status == 404 and code == "model_not_found":
        return (
            "the gateway does not route it: ConfigMap gateway/gateway-config, routes.yaml, has no such model"
        )
    if answer.status == 404:
        return (
            f"the engine does not know it: Deployment {namespace}/{service} needs "
            f"--served-model-name {model.asked_as}"
        )
    if answer.status == 401:
        return f"the gateway refuses the token of this Job ({message}); {why_refused(token)}"
    if answer.status == 403:
        return (
            f"the gateway does not let the token of this Job ask for {model.asked_as} ({message}); the token "
            "must open every model: make token TEAM=verify MODELS='*'"
        )
    if answer.status == 429:
        return f"the rate limit of the team of this Job's token is used up ({message}); gateway.rate_limit"
    return f"status {answer.status}: {message}; {look(model)}"


def look(model: Model) -> str:
    """The command that shows a model's pods."""
    return f"look: kubectl -n {model.service.namespace} get pods -l {model.service.selector}"


def openai_error(body: bytes) -> tuple[str | None, str]:
    """Code and message of an error in OpenAI's shape; no code if it has another shape."""
    try:
        error = json.loads(body)["error"]
        return error.get("code"), str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, body[:200].decode(errors="replace").replace("\n", " ")


def why_refused(token: str) -> str:
    """What to do about a token that the gateway refuses: it has expired, or it is signed by another key."""
    expires = expiry(token)
    if expires is not None and expires < time.time():
        return (
            "it has expired: this is a new attempt at an old run. `kubectl -n gateway delete secret -l "
            "app.kubernetes.io/name=verify`, then `pulumi up --refresh` signs another"
        )
    return (
        "it has not expired, so its key is none that the gateway has: ConfigMap gateway/gateway-config, "
        "authentication.yaml, must hold the keys of gateway.tokens.public_keys"
    )


def expiry(token: str) -> float | None:
    """When a JWT expires, in seconds since 1970; None if it does not say so."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (binascii.Error, ValueError, LookupError, TypeError):
        return None

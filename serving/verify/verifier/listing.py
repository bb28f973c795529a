"""Does an engine that answers to any name serve the model that it is asked for?"""

from __future__ import annotations

import http.client
import json

from .error_answers import look
from .failed import Failed
from .gateway import REQUEST_SECONDS
from .http_client import opener
from .settings import Model


def check_listed(model: Model, address: str) -> str:
    """The engine behind the model's Service lists it: its answers alone do not tell which model gave them."""
    try:
        with opener.open(address, timeout=REQUEST_SECONDS) as reply:
            names = [str(each["id"]) for each in json.loads(reply.read())["data"]]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        reason = f"{address} does not say what it serves ({type(error).__name__}: {error})"
        raise Failed(f"model {model.name}: {reason}; {look(model)}") from None
    if model.asked_as not in names:
        raise Failed(
            f"model {model.name}: its engine serves {', '.join(names) or 'nothing'}, not {model.asked_as}; "
            f"it answers to any name; {look(model)}"
        )
    return f"listed as {model.asked_as}"

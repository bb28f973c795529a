"""Runs in the cluster after everything else: does the platform answer as its users will ask?

Standard library only, so that any Python image runs it. Prints one line for each check that holds. If
any does not, prints only those, one line each with the object to look at, and exits with 1.

VERIFY_GATEWAY   address of the gateway, such as http://gateway.gateway.svc.cluster.local
VERIFY_SERVICE   what the gateway's Service is called and selects: {"service", "namespace", "selector"}
VERIFY_MODELS    list of {"name", "service", "namespace", "selector"}
VERIFY_SECONDS   how long a check may be repeated: a changed ConfigMap takes up to 90 s to reach a pod
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial

REQUEST_SECONDS = 60
PAUSE_SECONDS = 1
UNKNOWN_MODEL = "no-such-model"


class Failed(Exception):
    """A check that does not hold; the message is one line that says what is wrong and where to look."""


def main() -> int:
    gateway = os.environ["VERIFY_GATEWAY"]
    service = json.loads(os.environ["VERIFY_SERVICE"])
    deadline = time.monotonic() + float(os.environ["VERIFY_SECONDS"])
    checks: list[Callable[[], str]] = [
        *(partial(check_model, gateway, service, model) for model in json.loads(os.environ["VERIFY_MODELS"])),
        partial(check_unknown_model, gateway, service),
        partial(check_metrics_refused, gateway, service),
    ]
    passed: list[str] = []
    failed: list[str] = []
    for check in checks:
        try:
            passed.append(repeat(check, deadline))
        except Failed as failure:
            failed.append(str(failure))
    for line in failed or passed:
        print(line, file=sys.stderr if failed else sys.stdout, flush=True)
    return 1 if failed else 0


def repeat(check: Callable[[], str], deadline: float) -> str:
    """Repeats a failing check until the deadline, once at least. Raises Failed with the last reason."""
    while True:
        try:
            return check()
        except Failed:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def check_model(gateway: str, service: dict[str, str], model: dict[str, str]) -> str:
    """A streamed completion comes back through the gateway, token by token, to its end."""
    name = model["name"]
    began = time.monotonic()
    first = None
    pieces = 0
    finished = False
    with open_url(gateway, service, "/v1/chat/completions", completion(name)) as reply:
        if reply.status != 200:
            raise Failed(f"model {name}: {explain(reply.status, reply.read(), model)}")
        try:
            for event in events(reply):
                if event == "[DONE]":
                    finished = True
                    break
                if json.loads(event)["choices"][0]["delta"].get("content"):
                    pieces += 1
                    first = time.monotonic() if first is None else first
        except (OSError, http.client.HTTPException) as error:
            raise Failed(
                f"model {name}: the stream broke off after {pieces} pieces ({error}); {look(model)}"
            ) from None
        except (ValueError, LookupError, AttributeError):
            raise Failed(f"model {name}: the stream is not OpenAI's; {look(model)}") from None
    if first is None or not finished:
        reason = "without a token" if first is None else "without [DONE]"
        raise Failed(f"model {name}: the stream ended {reason}; {look(model)}")
    return f"model {name}: streamed {pieces} pieces, the first after {first - began:.2f} s"


def completion(model: str) -> bytes:
    message = {"role": "user", "content": "Say hello."}
    return json.dumps({"model": model, "messages": [message], "max_tokens": 16, "stream": True}).encode()


def events(reply: http.client.HTTPResponse) -> Iterator[str]:
    """Data of each server-sent event."""
    for line in reply:
        if line.startswith(b"data:"):
            yield line[len(b"data:") :].decode().strip()


def explain(status: int, body: bytes, model: dict[str, str]) -> str:
    """What an error answer of the gateway, or of the engine behind it, says about the configuration."""
    name, namespace, service = model["name"], model["namespace"], model["service"]
    code, message = openai_error(body)
    if status == 503 and code == "model_unavailable":
        return (
            f"no ready endpoint: Service {namespace}/{service} selects {model['selector']}, and no ready pod "
            f"has that label, or its port is not called http; {look(model)}"
        )
    if status == 404 and code == "model_not_found":
        return (
            "the gateway does not route it: ConfigMap gateway/gateway-config, routes.yaml, has no such model"
        )
    if status == 404:
        return (
            f"the engine does not know it: Deployment {namespace}/{service} needs --served-model-name {name}"
        )
    return f"status {status}: {message}; {look(model)}"


def look(model: dict[str, str]) -> str:
    return f"look: kubectl -n {model['namespace']} get pods -l {model['selector']}"


def check_unknown_model(gateway: str, service: dict[str, str]) -> str:
    """A model that does not exist is refused by the gateway, in OpenAI's shape."""
    with open_url(gateway, service, "/v1/chat/completions", completion(UNKNOWN_MODEL)) as reply:
        code, _ = openai_error(reply.read())
        if reply.status != 404 or code != "model_not_found":
            raise Failed(
                f"unknown model: expected 404 with code model_not_found, got {reply.status} with {code}: "
                "ConfigMap gateway/gateway-config, routes.yaml, lets it through"
            )
    return "unknown model: 404 in OpenAI's shape"


def check_metrics_refused(gateway: str, service: dict[str, str]) -> str:
    """The engines' unprotected paths cannot be reached from outside; /metrics stands for all of them."""
    with open_url(gateway, service, "/metrics", None) as reply:
        if reply.status not in (403, 404):
            raise Failed(
                f"/metrics: expected to be refused, got {reply.status}: ConfigMap gateway/gateway-config, "
                "routes.yaml, must list the allowed paths only"
            )
    return f"/metrics: refused with {reply.status}"


def open_url(
    gateway: str, service: dict[str, str], path: str, body: bytes | None
) -> http.client.HTTPResponse:
    """The gateway's answer, whatever its status. Raises Failed if there is none."""
    request = urllib.request.Request(
        gateway + path, data=body, headers={"Content-Type": "application/json"} if body else {}
    )
    name = f"Service {service['namespace']}/{service['service']}"
    command = f"look: kubectl -n {service['namespace']} get service,pods -l {service['selector']}"
    try:
        return opener.open(request, timeout=REQUEST_SECONDS)
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise Failed(f"gateway: {name} does not resolve; {command}") from None
        raise Failed(
            f"gateway: {name} does not answer ({error.reason}): no ready pod is labelled "
            f"{service['selector']}; {command}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"gateway: {name} broke off ({type(error).__name__}); {command}") from None


class KeepErrorReplies(urllib.request.HTTPErrorProcessor):
    """Hands over error answers as answers; what they mean is for the checks to say."""

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        return response


# No proxy: the gateway is in the cluster, whatever the environment says.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), KeepErrorReplies)


def openai_error(body: bytes) -> tuple[str | None, str]:
    """Code and message of an error in OpenAI's shape; no code if it has another shape."""
    try:
        error = json.loads(body)["error"]
        return error.get("code"), str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, body[:200].decode(errors="replace").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())

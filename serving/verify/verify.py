"""Runs in the cluster after everything else: does the platform answer as its users will ask?

Standard library only, so that any Python image runs it. Prints one line for each check that holds. If
any does not, prints only those, one line each with the object to look at, and exits with 1.

VERIFY_GATEWAY     address of the gateway, such as http://gateway.gateway.svc.cluster.local
VERIFY_SERVICE     what the gateway's Service is called and selects: {"service", "namespace", "selector"}
VERIFY_PROMETHEUS  address of Prometheus. It also knows what the API server says of autoscalers, through
                   kube-state-metrics, so that this script needs no access to the API server.
VERIFY_MODELS      list of {"name", "asked_as", "task", "service", "namespace", "selector", "minimum",
                   "when_asleep", "startup_seconds", "triggers": [{"signal", "query", "metric"}],
                   "engine_series"}
VERIFY_TOKEN_FILE  file with the token that this script shows to the gateway
VERIFY_SECONDS     how long a check may be repeated: a changed ConfigMap takes up to 90 s to reach a pod
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import math
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Model = dict[str, Any]
"""An entry of VERIFY_MODELS."""

REQUEST_SECONDS = 60
PROMETHEUS_SECONDS = 10
PAUSE_SECONDS = 1
UNKNOWN_MODEL = "no-such-model"
GARBAGE_TOKEN = "not-a-token"


class Failed(Exception):
    """A check that does not hold; the message is one line that says what is wrong and where to look."""


def main() -> int:
    gateway = os.environ["VERIFY_GATEWAY"]
    service = json.loads(os.environ["VERIFY_SERVICE"])
    prometheus = os.environ["VERIFY_PROMETHEUS"]
    models: list[Model] = json.loads(os.environ["VERIFY_MODELS"])
    seconds = float(os.environ["VERIFY_SECONDS"])
    checks: list[tuple[Callable[[], str], float]] = []
    for model in models:
        waking = model["startup_seconds"] if model["when_asleep"] == "wake" else 0
        checks.append((partial(check_model, gateway, service, prometheus, model), seconds + waking))
        for trigger in model["triggers"]:
            checks.append((partial(check_trigger, prometheus, model, trigger), seconds))
        if model["triggers"]:
            checks.append((partial(check_autoscaler, prometheus, model), seconds))
    asked = models[0]["asked_as"] if models else UNKNOWN_MODEL
    checks.append((partial(check_refused, gateway, service, asked, None), seconds))
    checks.append((partial(check_refused, gateway, service, asked, GARBAGE_TOKEN), seconds))
    checks.append((partial(check_unknown_model, gateway, service), seconds))
    checks.append((partial(check_metrics_refused, gateway, service), seconds))
    began = time.monotonic()
    passed: list[str] = []
    failed: list[str] = []
    for check, patience in checks:
        try:
            passed.append(repeat(check, began + patience))
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


def check_model(gateway: str, service: dict[str, str], prometheus: str, model: Model) -> str:
    """What the model is for comes back through the gateway.

    A model that sleeps is left asleep, unless it is to be woken: then the request does that.
    """
    name = model["name"]
    if model["when_asleep"] == "report" and asleep(prometheus, model):
        return f"model {name}: asleep, with 0 replicas; not asked"
    if model["task"] == "embed":
        return check_embedding(gateway, service, model)
    if model["task"] == "rerank":
        return check_ranking(gateway, service, model)
    return check_completion(gateway, service, model)


def check_completion(gateway: str, service: dict[str, str], model: Model) -> str:
    """A streamed completion, token by token, to its end."""
    name = model["name"]
    began = time.monotonic()
    first = None
    pieces = 0
    finished = False
    with open_url(gateway, service, "/v1/chat/completions", completion(model["asked_as"])) as reply:
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


def check_embedding(gateway: str, service: dict[str, str], model: Model) -> str:
    """Two texts become two vectors of the same length, and not the same vector."""
    name = model["name"]
    body = {"model": model["asked_as"], "input": ["Say hello.", "Bread and butter."]}
    reply = whole_answer(gateway, service, "/v1/embeddings", body, model)
    try:
        first, second = (list(each["embedding"]) for each in reply["data"])
    except (ValueError, LookupError, TypeError):
        raise Failed(f"model {name}: the answer is not OpenAI's list of embeddings; {look(model)}") from None
    if not first or len(first) != len(second) or first == second:
        raise Failed(f"model {name}: the embeddings of two texts tell nothing apart; {look(model)}")
    return f"model {name}: embeddings of {len(first)} values"


def check_ranking(gateway: str, service: dict[str, str], model: Model) -> str:
    """Of two documents the one that answers the query comes first."""
    name = model["name"]
    documents = ["Bread goes with butter.", "The capital of France is Paris."]
    body = {"model": model["asked_as"], "query": "What is the capital of France?", "documents": documents}
    reply = whole_answer(gateway, service, "/v1/rerank", body, model)
    try:
        ranked = [(each["index"], float(each["relevance_score"])) for each in reply["results"]]
        (best, high), (_, low) = ranked
    except (ValueError, LookupError, TypeError):
        raise Failed(f"model {name}: the answer is no ranking of two documents; {look(model)}") from None
    if best != 1:
        raise Failed(
            f"model {name}: it ranks by something else than relevance ({high:.3f} before {low:.3f}): is it "
            f"served with the prompt that it was trained with (--chat-template)? {look(model)}"
        )
    return f"model {name}: ranked two documents, {high:.3f} before {low:.3f}"


def whole_answer(
    gateway: str, service: dict[str, str], path: str, body: dict[str, Any], model: Model
) -> dict[str, Any]:
    """The answer to a request that is not streamed. Raises Failed if there is none."""
    name = model["name"]
    with open_url(gateway, service, path, json.dumps(body).encode()) as reply:
        answer = reply.read()
        if reply.status != 200:
            raise Failed(f"model {name}: {explain(reply.status, answer, model)}")
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"model {name}: the answer is no JSON object; {look(model)}")
    return found


def completion(model: str) -> bytes:
    message = {"role": "user", "content": "Say hello."}
    return json.dumps({"model": model, "messages": [message], "max_tokens": 16, "stream": True}).encode()


def events(reply: http.client.HTTPResponse) -> Iterator[str]:
    """Data of each server-sent event."""
    for line in reply:
        if line.startswith(b"data:"):
            yield line[len(b"data:") :].decode().strip()


def explain(status: int, body: bytes, model: Model) -> str:
    """What an error answer of the gateway, or of the engine behind it, says about the configuration."""
    name, namespace, service = model["asked_as"], model["namespace"], model["service"]
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
    if status == 401:
        return f"the gateway refuses the token of this Job ({message}); {why_refused()}"
    if status == 403:
        return (
            f"the gateway does not let the token of this Job ask for {name} ({message}); the token must open "
            "every model: make token TEAM=verify MODELS='*'"
        )
    if status == 429:
        return f"the rate limit of the team of this Job's token is used up ({message}); gateway.rate_limit"
    return f"status {status}: {message}; {look(model)}"


def why_refused() -> str:
    """What to do about a token that the gateway refuses: it has expired, or it is signed by another key."""
    expires = expiry(own_token())
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


def look(model: Model) -> str:
    return f"look: kubectl -n {model['namespace']} get pods -l {model['selector']}"


def check_trigger(prometheus: str, model: Model, trigger: dict[str, str]) -> str:
    """Prometheus has exactly one number for what the autoscaler reads."""
    values = query(prometheus, trigger["query"])
    label = f"trigger {trigger['signal']} of model {model['name']}"
    if len(values) == 1 and math.isfinite(values[0]):
        return f"{label}: {values[0]:g} replicas"
    if values:
        raise Failed(f"{label}: {values} is not one number: something else records the same series")
    raise Failed(f"{label}: Prometheus has no value; {why_no_value(prometheus, model)}")


def why_no_value(prometheus: str, model: Model) -> str:
    """The first link from the pod to the recorded rule that is missing."""
    name, namespace = model["name"], model["namespace"]
    up = f'up{{namespace="{namespace}",inference_service="{model["service"]}"}}'
    if not query(prometheus, deployment_replicas(model)):
        return f"kube-state-metrics does not know Deployment {namespace}/{name}: is it running, and scraped?"
    targets = query(prometheus, up)
    if not targets:
        return (
            f"it reads no pod of this model: PodMonitor {namespace}/engines selects pods labelled "
            f"app.kubernetes.io/component=engine and their port http, and {model['selector']} names the model"
        )
    if 1 not in targets:
        return f"{len(targets)} pods are selected and none can be read ({up} is 0); {look(model)}"
    for metric in model["engine_series"]:
        if not query(prometheus, metric):
            return f"the engine does not expose {metric}: dashboards/signals.py names it otherwise"
    return (
        f"PrometheusRule {namespace}/{name} is not loaded, or reads the gateway: PodMonitor gateway/gateway"
    )


def check_autoscaler(prometheus: str, model: Model) -> str:
    """The HPA is active, has a current value from each trigger, and has raised the model to its minimum."""
    name, namespace = model["name"], model["namespace"]
    if asleep(prometheus, model):
        return f"autoscaler of model {name}: asleep, until requests arrive"
    hpa = f'namespace="{namespace}",horizontalpodautoscaler="{name}"'
    described = f"look: kubectl -n {namespace} describe hpa,scaledobject {name}"
    condition = (
        f'kube_horizontalpodautoscaler_status_condition{{{hpa},condition="ScalingActive",status="true"}}'
    )
    active = query(prometheus, condition)
    if not active:
        raise Failed(
            f"autoscaler of model {name}: there is no HPA {namespace}/{name}, which KEDA makes from the "
            f"ScaledObject of that name; {described}"
        )
    if active != [1]:
        raise Failed(f"autoscaler of model {name}: its condition ScalingActive is not True; {described}")
    for trigger in model["triggers"]:
        metric = trigger["metric"]
        value = f'kube_horizontalpodautoscaler_status_target_metric{{{hpa},metric_name="{metric}"}}'
        if not query(prometheus, value):
            raise Failed(
                f"autoscaler of model {name}: no current value of {metric} ({trigger['signal']}); {described}"
            )
    replicas = query(prometheus, deployment_replicas(model))
    if any(asked < model["minimum"] for asked in replicas):
        raise Failed(
            f"autoscaler of model {name}: Deployment {namespace}/{name} asks for {replicas[0]:g} replicas, "
            f"and its minimum is {model['minimum']}; {described}"
        )
    return f"autoscaler of model {name}: active, {len(model['triggers'])} triggers with a value"


def asleep(prometheus: str, model: Model) -> bool:
    """Whether the model has no replica on purpose."""
    return model["minimum"] == 0 and query(prometheus, deployment_replicas(model)) == [0]


def deployment_replicas(model: Model) -> str:
    deployment = f'namespace="{model["namespace"]}",deployment="{model["service"]}"'
    return f"kube_deployment_spec_replicas{{{deployment}}}"


def query(prometheus: str, expression: str) -> list[float]:
    """Value of each series that the expression gives now. Raises Failed if Prometheus does not answer."""
    parameters = urllib.parse.urlencode({"query": expression})
    try:
        with opener.open(f"{prometheus}/api/v1/query?{parameters}", timeout=PROMETHEUS_SECONDS) as reply:
            body = reply.read()
        return [float(row["value"][1]) for row in json.loads(body)["data"]["result"]]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise Failed(
            f"Prometheus at {prometheus} does not answer ({type(error).__name__}: {error})"
        ) from None


def check_refused(gateway: str, service: dict[str, str], model: str, token: str | None) -> str:
    """Whoever has no token, or none that is signed, is refused before anything is computed for them."""
    who = "a request without a token" if token is None else "a request with a made-up token"
    headers = {} if token is None else authorization(token)
    with open_as(headers, gateway, service, "/v1/chat/completions", completion(model)) as reply:
        if reply.status != 401:
            raise Failed(
                f"{who}: expected 401, got {reply.status}: whoever reaches the gateway can use it. ConfigMap "
                "gateway/gateway-config, listeners.yaml, must have jwt_authn before every other filter"
            )
    return f"{who}: 401"


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


def own_token() -> str:
    """The token of this Job. Raises Failed if there is none."""
    path = os.environ["VERIFY_TOKEN_FILE"]
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise Failed(f"token: {path} cannot be read ({error}): the Secret of this Job holds none") from None


def authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def open_url(
    gateway: str, service: dict[str, str], path: str, body: bytes | None
) -> http.client.HTTPResponse:
    """The gateway's answer to who has a token, whatever its status. Raises Failed if there is none."""
    return open_as(authorization(own_token()), gateway, service, path, body)


def open_as(
    headers: dict[str, str], gateway: str, service: dict[str, str], path: str, body: bytes | None
) -> http.client.HTTPResponse:
    """The same with other headers."""
    content = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(gateway + path, data=body, headers={**content, **headers})
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

"""Parts of the gateway's configuration that can be left out, by name, to see what they cost.

For measuring only: the product has no such switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.gateway_benchmark.cost.documents import http_filters, listener, manager, objects
from local.gateway_benchmark.servers import ServerError
from local.gateway_benchmark.upstream import MODEL
from serving.gateway.answer_tokens import answers_script
from serving.gateway.lua import joined
from serving.gateway.metadata import METADATA
from serving.gateway.metadata import MODEL as MODEL_KEY
from serving.gateway.places import places_script
from serving.gateway.request_body import FILTER, body_script
from serving.gateway.scripts import COLLECTOR_SCRIPT

Change = Callable[[dict[str, Any]], None]
"""Takes the part out of a document; raises ServerError where the document does not have it."""

HEADER_TO_METADATA = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config"


def without_filters(*names: str) -> Change:
    """Takes HTTP filters out, and what routes say to them."""

    def change(document: dict[str, Any]) -> None:
        filters = http_filters(document)
        missing = set(names) - {item["name"] for item in filters}
        if missing:
            raise ServerError(f"the gateway has no HTTP filter called {', '.join(sorted(missing))}")
        filters[:] = [item for item in filters if item["name"] not in names]
        for item in objects(document):
            for name in names:
                item.get("typed_per_filter_config", {}).pop(name, None)

    return change


def without_setting(*keys: str) -> Change:
    """Takes settings out, wherever an object has one of them."""

    def change(document: dict[str, Any]) -> None:
        found = [item for item in objects(document) if any(key in item for key in keys)]
        if not found:
            raise ServerError(f"the gateway's configuration has no {' or '.join(keys)}")
        for item in found:
            for key in keys:
                item.pop(key, None)

    return change


def _without_reading_the_body(document: dict[str, Any]) -> None:
    """Bodies are still collected; the model is a constant, because routes need one."""
    _run_only(document, joined(_collector(), places_script(), answers_script()))
    constant = {"metadata_namespace": METADATA, "key": MODEL_KEY, "value": MODEL}
    http_filters(document).insert(
        0,
        {
            "name": "constant",
            "typed_config": {
                "@type": HEADER_TO_METADATA,
                "request_rules": [{"header": "x-not-there", "on_header_missing": constant}],
            },
        },
    )


def _without_reading_answers(document: dict[str, Any]) -> None:
    _run_only(document, joined(_collector(), body_script(), places_script()))


def _without_places(document: dict[str, Any]) -> None:
    _run_only(document, joined(_collector(), body_script(), answers_script()))


def _without_collectors_pace(document: dict[str, Any]) -> None:
    _run_only(document, joined(body_script(), places_script(), answers_script()))


def _collector() -> str:
    return COLLECTOR_SCRIPT.read_text(encoding="utf-8")


def _run_only(document: dict[str, Any], script: str) -> None:
    (found,) = (item["typed_config"] for item in http_filters(document) if item["name"] == FILTER)
    source = found["default_source_code"]
    if source["inline_string"] == script:
        raise ServerError("the scripts are without this part already")
    source["inline_string"] = script


def _without_token(document: dict[str, Any]) -> None:
    without_filters("token", "claims", "model_list", "models")(document)
    for item in objects(document):
        # Without its script the list of models is an error, and the gateway never taken for ready.
        if item.get("direct_response", {}).get("status") == 500:
            item["direct_response"]["status"] = 200


def _without_time_limits(document: dict[str, Any]) -> None:
    for key in ("request_headers_timeout", "request_timeout"):
        del manager(document)[key]


def _without_idle_limit(document: dict[str, Any]) -> None:
    del manager(document)["common_http_protocol_options"]["idle_timeout"]


def _without_socket_options(document: dict[str, Any]) -> None:
    del listener(document)["socket_options"]


def _without_log(name: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        logs = manager(document)["access_log"]
        if name not in {log["name"] for log in logs}:
            raise ServerError(f"the gateway has no access log called {name}")
        logs[:] = [log for log in logs if log["name"] != name]

    return change


def _all_of(*changes: Change) -> Change:
    def change(document: dict[str, Any]) -> None:
        for each in changes:
            each(document)

    return change


LEFT_OUT: Mapping[str, Change] = {
    "token, claims and rights": _without_token,
    "claims, revoked tokens": without_filters("claims"),
    "rights per model": without_filters("models"),
    "rate of a team": without_filters("team_limit"),
    "announced bytes of a team": without_filters("upload_limit"),
    "unannounced bytes of a team": without_filters("unannounced_bodies"),
    "places of a team": _without_places,
    "reading of bodies": _without_reading_the_body,
    "reading of answers": _without_reading_answers,
    "collector's pace": _without_collectors_pace,
    "count of arrivals": without_filters("arrivals"),
    "headers for engines": without_filters("envoy.filters.http.header_mutation"),
    "ids of clients": _all_of(
        without_filters("envoy.filters.http.header_to_metadata"),
        without_setting("early_header_mutation_extensions"),
    ),
    "two budgets of tries": _all_of(
        without_setting("upstream_http_filters"), without_setting("retry_policy")
    ),
    "access log": _without_log("envoy.access_loggers.stdout"),
    "count of unanswered requests": _without_log("envoy.access_loggers.stats"),
    "replicas left out": without_setting("outlier_detection"),
    "memory and connections": without_setting("overload_manager"),
    "time limits of requests": _without_time_limits,
    "time limit of idle connections": _without_idle_limit,
    "dead and stuck clients": _without_socket_options,
}
"""What it is for an operator, and how it is taken out."""

"""Which request goes where: the allow-list of paths, and routing by `model`.

A request passes only if its path, method and body are all understood; whatever is not is answered here and
never reaches an engine, whose own API has unprotected paths (/metrics, /tokenize, /pause).

Routes stand in a tree: path and method first, then the name that the body gives, by one look-up in a map. A
list of routes, tried one after the other, took 12 us of CPU time longer with 50 models and 75 us with 200,
on top of 80 (measured on Envoy 1.40, one core).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from serving.gateway import canary
from serving.gateway.affinity import hash_policy
from serving.gateway.arrivals import count_as
from serving.gateway.attempts import (
    Destination,
    balancings,
    choice_of_cluster,
    own,
    stable,
)
from serving.gateway.authorization import allowed, open_to_every_token
from serving.gateway.cors import page_routes
from serving.gateway.documents import Document, discovery, typed
from serving.gateway.errors import ERROR_METADATA
from serving.gateway.metadata import (
    METADATA,
    MODEL,
    OVER_SHARE,
    PROBLEM,
    PROMPT_CACHE_KEY,
    SEQUENCES,
    filter_state,
    present,
    printable,
)
from serving.gateway.model_list import model_list
from serving.gateway.outcomes import MODEL_HEADER
from serving.gateway.paths import DOES, MODELS_PATH, REFUSED_FAMILIES, TASK_PATHS, all_paths, any_of
from serving.gateway.places import places
from serving.gateway.request_body import uncollected
from serving.gateway.served import ServedModel
from serving.gateway.unannounced_bodies import counted_by_arrival

ROUTES = "gateway"
"""Name of the route configuration, by which the listener asks for it."""


NOT_JSON = "The body must be JSON with a string 'model' (Content-Type: application/json)."


def route_configuration(
    models: Sequence[ServedModel], max_request_bytes: int, allowed_origins: Sequence[str] = ()
) -> Document:
    """The discovery document with all routes."""
    pages = list(page_routes(allowed_origins))
    return discovery(
        typed(
            "config.route.v3.RouteConfiguration",
            name=ROUTES,
            # The list of models is answered from here; Envoy's default of 4 KiB holds about 40 of them.
            max_direct_response_body_size_bytes=1024 * 1024,
            virtual_hosts=[
                {
                    "name": "openai",
                    "domains": ["*"],
                    # What the script between two tries is chosen by.
                    "include_request_attempt_count": True,
                    # A request can be sent again only while its body is kept; all of it is.
                    "request_body_buffer_limit": max_request_bytes,
                    "typed_per_filter_config": places(models),
                    "matcher": {
                        "matcher_list": {
                            "matchers": [
                                {
                                    "predicate": _post_to_a_known_path(),
                                    "on_match": {"matcher": _by_model(models, pages)},
                                }
                            ]
                        },
                        "on_no_match": _first_of([*pages, *model_list(models), *_refusals_of_paths()]),
                    },
                }
            ],
        )
    )


def _post_to_a_known_path() -> Document:
    # The header has the query with the path.
    return {
        "and_matcher": {
            "predicate": [
                _header(":method", {"exact": "POST"}),
                _header(
                    ":path", {"safe_regex": {"google_re2": {}, "regex": f"{any_of(all_paths())}([?].*)?"}}
                ),
            ]
        }
    }


def _header(name: str, value: Mapping[str, object]) -> Document:
    found = typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)
    return {
        "single_predicate": {"input": {"name": "header", "typed_config": found}, "value_match": value},
    }


def _by_model(models: Sequence[ServedModel], pages: Sequence[Document]) -> Document:
    """The routes of each name that a body may give; whatever is no such name is refused."""
    named = typed("extensions.matching.common_inputs.network.v3.FilterStateInput", key=filter_state(MODEL))
    return {
        "matcher_tree": {
            "input": {"name": "model", "typed_config": named},
            "exact_match_map": {"map": dict(_names(models))},
        },
        "on_no_match": _first_of(
            [
                *pages,
                # What is left of these bodies is not what was sent.
                _refusal(
                    {"prefix": "/", "dynamic_metadata": [present(OVER_SHARE)]},
                    429,
                    "",
                    code="rate_limit_exceeded",
                ),
                _refusal(
                    {"prefix": "/", "dynamic_metadata": [present(MODEL)]},
                    404,
                    f"The model '%DYNAMIC_METADATA({METADATA}:{MODEL})%' does not exist. "
                    f"GET {MODELS_PATH} lists the models.",
                    code="model_not_found",
                    param="model",
                ),
                _refusal(
                    {"prefix": "/", "dynamic_metadata": [present(PROBLEM)]},
                    400,
                    f"%DYNAMIC_METADATA({METADATA}:{PROBLEM})%",
                    code="invalid_body",
                    param="model",
                ),
                # Reason enough are the headers of these: no body is waited for.
                *_refusals_of_bodies(),
                {
                    **_not_json(
                        {"prefix": "/", "headers": [{"name": "content-length", "present_match": False}]}
                    ),
                    "typed_per_filter_config": {**open_to_every_token(), **counted_by_arrival()},
                },
                _not_json({"prefix": "/"}),
            ]
        ),
    }


def _names(models: Sequence[ServedModel]) -> Iterator[tuple[str, Document]]:
    for model in models:
        for name in (model.name, *model.aliases):
            yield printable(name), _first_of(_routes_of(model, stable(model), model.name))
        for name in model.adapters:
            yield printable(name), _first_of(_routes_of(model, own(model), name))


def _routes_of(model: ServedModel, destination: Destination, right: str) -> Iterator[Document]:
    """What no replica could ever take first; then the canary's share, each with and without a key for the
    prompt cache; then the wrong paths."""
    if model.most_sequences is not None:
        yield _refusal(
            {
                "safe_regex": {"regex": any_of(TASK_PATHS[model.task])},
                "dynamic_metadata": [_more_sequences_than(model.most_sequences)],
            },
            400,
            f"The request asks for %DYNAMIC_METADATA({METADATA}:{SEQUENCES})% sequences ('n' times its "
            f"prompts, inputs or documents). One replica of '%DYNAMIC_METADATA({METADATA}:{MODEL})%' takes "
            f"{model.most_sequences}, running and queued: send smaller requests.",
            code="too_many_sequences",
            param="n",
        )
    if model.canary is not None:
        tried = canary.destination(model, model.canary)
        share = canary.share(model, model.canary)
        yield from _routes_to(model, model.canary.service, tried, share, right)
    yield from _routes_to(model, model.name, destination, {}, right)
    yield _refusal(
        {"prefix": "/"},
        400,
        f"The model '%DYNAMIC_METADATA({METADATA}:{MODEL})%' {DOES[model.task]}: "
        f"use {' or '.join(TASK_PATHS[model.task])}.",
        code="wrong_path",
        param="model",
    )


def _more_sequences_than(most: int) -> Document:
    """Match of a request that asks for more, for `dynamic_metadata` of a route."""
    above = {"double_match": {"range": {"start": most + 1, "end": sys.float_info.max}}}
    return {"filter": METADATA, "path": [{"key": SEQUENCES}], "value": above}


def _routes_to(
    model: ServedModel, counted_as: str, destination: Destination, share: Document, right: str
) -> Iterator[Document]:
    # One with a key first: the other takes every request.
    for balancing in reversed(balancings(model)):
        by_key = balancing == "affinity"
        keyed = {"dynamic_metadata": [present(PROMPT_CACHE_KEY)]} if by_key else {}
        yield {
            # Of a request that was not answered: its counter's label (outcomes.py).
            "name": counted_as,
            "match": {"safe_regex": {"regex": any_of(TASK_PATHS[model.task])}, **share, **keyed},
            "typed_per_filter_config": {**allowed(right), **count_as(counted_as)},
            "response_headers_to_add": [
                {
                    "header": {"key": MODEL_HEADER, "value": "%UPSTREAM_HOST_NAME_WITHOUT_PORT%"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
            "route": {
                **choice_of_cluster(destination, model, balancing),
                **(hash_policy() if by_key else {}),
                # A generation may take minutes and be silent for long: only its first byte has a time limit,
                # which a replica that does what it is planned for never meets.
                "timeout": "0s",
                "idle_timeout": "0s",
                "retry_policy": destination.retry_policy(model),
            },
        }


def _not_json(match: Mapping[str, object]) -> Document:
    return _refusal(match, 400, NOT_JSON, code="invalid_body", param="model")


def _refusals_of_bodies() -> Iterator[Document]:
    """By their headers, of what the body's reader would not read either."""
    other_type = {
        "name": "content-type",
        "string_match": {"prefix": "application/json", "ignore_case": True},
        "treat_missing_header_as_empty": True,
        "invert_match": True,
    }
    yield _refusal_at_once(
        {"prefix": "/", "headers": [other_type]}, 400, NOT_JSON, code="invalid_body", param="model"
    )
    encoded = {
        "name": "content-encoding",
        "string_match": {"exact": "identity"},
        "invert_match": True,
    }
    yield _refusal_at_once(
        {"prefix": "/", "headers": [encoded]},
        400,
        "Send the body as it is, without Content-Encoding.",
        code="invalid_body",
        param="model",
    )


def _refusals_of_paths() -> Iterator[Document]:
    yield _refusal_at_once(
        {"safe_regex": {"regex": any_of((*all_paths(), MODELS_PATH))}},
        405,
        f"Use POST for {', '.join(all_paths())}; GET for {MODELS_PATH}.",
        code="method_not_allowed",
    )
    for family, reason in REFUSED_FAMILIES.items():
        yield _refusal_at_once({"prefix": family}, 404, reason, code="unknown_url")
    yield _refusal_at_once(
        {"prefix": "/"},
        404,
        f"Unknown path. Served here: {', '.join((*all_paths(), MODELS_PATH))}.",
        code="unknown_url",
    )


def _first_of(routes: Iterable[Document]) -> Document:
    """What a tree leads to: the first of these routes that matches."""
    found = typed("config.route.v3.RouteList", routes=list(routes))
    return {"action": {"name": "routes", "typed_config": found}}


def _refusal_at_once(
    match: Mapping[str, object], status: int, message: str, code: str, param: str | None = None
) -> Document:
    """A refusal for which the headers are reason enough: no byte of the body is kept, or waited for."""
    refusal = _refusal(match, status, message, code, param)
    return {**refusal, "typed_per_filter_config": {**open_to_every_token(), **uncollected()}}


def _refusal(
    match: Mapping[str, object], status: int, message: str, code: str, param: str | None = None
) -> Document:
    """A route that answers with an error; error_replies() puts it into OpenAI's shape."""
    details = {"code": code} if param is None else {"code": code, "param": param}
    return {
        "match": match,
        "metadata": {"filter_metadata": {ERROR_METADATA: details}},
        "typed_per_filter_config": open_to_every_token(),
        "direct_response": {
            "status": status,
            "body_format": {"text_format_source": {"inline_string": message}},
        },
    }

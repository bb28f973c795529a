"""Time to first token of engines that do not measure it: the gateway does.

From the end of the request that an engine gets to the first byte of its answer's body. Headers would be too
early: engines send those of a stream when they accept it.

In Prometheus, from the gateway's port 9902 at /stats/prometheus, it is a histogram in milliseconds for each
Service that answered, without the refusals inside of streams:

    envoy_gateway_first_token_bucket{service="<model or canary>",le="250"}

Where one model of a stack needs it, the answers of all are timed: an access log costs a request little, and
Envoy 1.40 has no filter that knows the Service. There is no series before the first answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from serving.gateway.documents import Document, typed
from serving.gateway.metadata import METADATA
from serving.gateway.served import ServedModel
from serving.gateway.tries import OUTCOME
from serving.names import GATEWAY_NAMESPACE

EDGES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 1800, 3600)
"""Seconds: Envoy's own (source/common/stats/histogram_impl.cc of 1.40), without 0.5 ms."""


def first_token_buckets(service: str) -> str:
    """Its buckets of one Service, as PromQL selects them."""
    return (
        f'envoy_gateway_first_token_bucket{{namespace="{GATEWAY_NAMESPACE}",service="{service}",le!="0.5"}}'
    )


def first_tokens_logs(models: Sequence[ServedModel]) -> list[Document]:
    """The access log that times answers; none where every engine does it itself."""
    if not any(model.timed for model in models):
        return []
    stat = {
        "name": "first_token",
        "tags": [{"name": "service", "value_format": "%UPSTREAM_HOST_NAME_WITHOUT_PORT%"}],
    }
    histogram = {
        "stat": stat,
        "unit": "Milliseconds",
        "value_format": "%COMMON_DURATION(US_TX_END:US_RX_BODY_BEG:ms)%",
    }
    stats = typed(
        "extensions.access_loggers.stats.v3.Config", stats_scope={"prefix": "gateway"}, histograms=[histogram]
    )
    answered = {
        "comparison": {"op": "EQ", "value": {"default_value": 200, "runtime_key": "first_token.status"}}
    }
    not_refused = {"filter": METADATA, "path": [{"key": OUTCOME}], "value": {"present_match": False}}
    filters = [
        {"status_code_filter": answered},
        {"metadata_filter": {"matcher": not_refused, "match_if_key_not_found": True}},
    ]
    return [
        {
            "name": "envoy.access_loggers.stats",
            "filter": {"and_filter": {"filters": filters}},
            "typed_config": stats,
        }
    ]

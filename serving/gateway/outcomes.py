"""How requests end that got no answer of an engine, or only a refusal in a stream.

The word is in the access log (`outcome`) and in a counter for each model, in Prometheus from the gateway's
port 9902 at /stats/prometheus:

    envoy_gateway_unanswered{model="<model or canary>",outcome="<word>"}

| outcome | what happened | client gets |
|---|---|---|
| broken | delivered whole, and the connection to the engine broke; twice, or without another replica | 502 |
| full | the queue of each replica that was asked is full | 503 |
| unreachable | no replica took the connection | 503 |
| refused | status 200, and the first event of the stream is the engine's refusal | that event |
| rejected | status 200, and the first event says that the request is wrong (4xx) | that event |
| failed | status 200, and the first event is another error | that event |

The last three exist because vLLM 0.32 and 0.33 check their queue a second time after the answer has begun,
and SGLang 0.5 and TGI refuse every stream so: a count of statuses takes them for successes.

Envoy marks the stats access logger as work in progress; none of 1.40's own counters is kept by model and
cause. Single deliveries that broke, the ones that a second try made good included, are Envoy's own counter
`envoy_cluster_upstream_cx_destroy_remote_with_active_rq` of the Service's clusters.
"""

from __future__ import annotations

from serving.gateway.documents import Document, typed
from serving.gateway.metadata import METADATA
from serving.gateway.tries import OUTCOME

MODEL_HEADER = "x-llm-platform-model"
"""Header of an answer: the Service that gave it, which is the model, its canary or its fallback."""

UNANSWERED_METRIC = "envoy_gateway_unanswered"
"""Name in Prometheus, without the suffix that its parser adds."""

UNANSWERED_MODEL_LABEL = "model"
OUTCOME_LABEL = "outcome"


def outcomes_log() -> Document:
    """The access log that counts them; other requests cost it one look at their metadata."""
    matcher = {"filter": METADATA, "path": [{"key": OUTCOME}], "value": {"present_match": True}}
    counter = {
        "stat": {
            "name": "unanswered",
            "tags": [
                {"name": UNANSWERED_MODEL_LABEL, "value_format": "%ROUTE_NAME%"},
                {"name": OUTCOME_LABEL, "value_format": f"%DYNAMIC_METADATA({METADATA}:{OUTCOME})%"},
            ],
        },
        "value_fixed": 1,
    }
    stats = typed(
        "extensions.access_loggers.stats.v3.Config", stats_scope={"prefix": "gateway"}, counters=[counter]
    )
    return {
        "name": "envoy.access_loggers.stats",
        "filter": {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}},
        "typed_config": stats,
    }

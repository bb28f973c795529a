"""Counts the requests that arrive for each model, whether or not anything can answer them.

Autoscaling wakes a sleeping model by this count. So it must include requests for which no replica exists,
count a request once however often the gateway tries it, and count it when it arrives, not when it is
answered. Of what Envoy 1.40 counts for each model, only the last row does all three (measured with no
replica, with two attempts that failed before an answer, and with a replica that refuses every connection):

    statistic                                    no replica   two retries   refusing   counted
    cluster.*.upstream_rq_total                       0            3            0      each attempt
    vhost.*.route.*.upstream_rq_total                 0            3            0      each attempt
    cluster.*.upstream_cx_none_healthy                1            0            0      without replicas only
    cluster.*.upstream_rq_completed                   1            1            1      when the answer begins
    *.http_local_rate_limit.enabled                   1            1            1      at arrival

`upstream_rq_completed` measures what is served: an answer that does not stream counts at its very end, and
is late just when the model is overloaded and scaling matters most. A local rate limit that limits nothing
counts whatever reaches it, and it stands directly before the router. Every configured model has an explicit
zero.

In Prometheus, from the gateway's port 9902 at /stats/prometheus, it is a counter for each model:

    envoy_http_local_rate_limit_enabled{envoy_local_http_ratelimit_prefix="<model>"}

Other series of that name are no model's, and have a prefix with an underscore, which no model's name has: the
filter's own, "_", which stays zero, and that of the teams' limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from serving.gateway.documents import Document, typed

ARRIVALS_METRIC = "envoy_http_local_rate_limit_enabled"
MODEL_LABEL = "envoy_local_http_ratelimit_prefix"

FILTER = "arrivals"
"""Name of the filter: routes address their settings to it, and a real rate limit can stand beside it."""

NO_MODEL = "_"
"""Prefix of the filter's own series, which counts nothing."""

LOCAL_RATE_LIMIT = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

UNLIMITED_TOKENS = 4_294_967_295
"""The largest bucket that Envoy accepts, filled again every second."""


def arrivals_filter() -> Document:
    """The filter for the listener. By itself it counts nothing: routes to models say under which name."""
    return {"name": FILTER, "typed_config": typed(LOCAL_RATE_LIMIT, stat_prefix=NO_MODEL)}


def count_as(model: str) -> Mapping[str, Document]:
    """`typed_per_filter_config` of a route whose requests count as arrivals of `model`."""
    return {
        FILTER: typed(
            LOCAL_RATE_LIMIT,
            stat_prefix=model,
            token_bucket={
                "max_tokens": UNLIMITED_TOKENS,
                "tokens_per_fill": UNLIMITED_TOKENS,
                "fill_interval": "1s",
            },
            # Looked at always, enforced never (Envoy's default), even with the bucket empty.
            filter_enabled={
                "default_value": {"numerator": 100, "denominator": "HUNDRED"},
                "runtime_key": "arrivals.counted",
            },
        )
    }

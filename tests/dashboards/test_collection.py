from __future__ import annotations

import re
from typing import Any

from dashboards.collection import engine_monitor_spec, gateway_monitor_spec
from serving.engines.vllm import VLLM
from serving.gateway.arrivals import ARRIVALS_METRIC
from serving.names import labels


def keeps(endpoint: Any, name: str) -> bool:
    """Whether a series of this name is stored, by Prometheus' rule that an expression must fit the whole."""
    for relabeling in endpoint["metricRelabelings"]:
        fits = re.fullmatch(relabeling["regex"], name) is not None
        if fits == (relabeling["action"] == "drop"):
            return False
    return True


def test_engines_are_read_as_plain_text_and_named_after_their_model():
    spec: Any = engine_monitor_spec(15, [VLLM])
    assert spec["scrapeProtocols"] == ["PrometheusText0.0.4"]
    assert spec["selector"]["matchLabels"].items() <= labels("chat", component="engine").items()
    (endpoint,) = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("http", "/metrics", "15s")
    assert {
        "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
        "targetLabel": "inference_service",
    } in endpoint["relabelings"]
    assert keeps(endpoint, "vllm:num_requests_running")
    assert not keeps(endpoint, "vllm:prompt_tokens_created")


def test_the_gateway_is_read_on_its_metrics_port_and_keeps_arrivals():
    spec: Any = gateway_monitor_spec(5)
    assert spec["selector"]["matchLabels"].items() <= labels("gateway", component="gateway").items()
    (endpoint,) = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/stats/prometheus")
    assert keeps(endpoint, ARRIVALS_METRIC)
    assert keeps(endpoint, "envoy_cluster_upstream_rq_total")
    assert not keeps(endpoint, "envoy_wasm_envoy_wasm_runtime_null_active")

"""The signals of a model, under neutral names: the one catalogue that everything else reads.

Each engine declares once how its own metrics become these signals. Autoscaling, dashboards, alerts and load
tests use only the names below, so a metric that an engine renames is changed in one place. Names follow
Prometheus' convention `level:metric:operation`; the level `inference` is one model:

    namespace, inference_service   the model's Deployment and Service
    model_name                     what clients send as `model`
    inference_engine               such as vllm

Asking for a signal that does not exist is an error (UnknownNameError), not an empty panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from serving.names import INFERENCE_NAMESPACE
from sizing.choices import UnknownNameError

SERVICE_LABEL = "inference_service"
"""Label of everything scraped from an engine: the value of its pod's app.kubernetes.io/name."""

ENGINE_LABEL = "inference_engine"

POOL_LABEL = "node_pool"
"""Label of signals about a node pool, in place of those of a model."""


@dataclass(frozen=True)
class Signal:
    """One recorded series per model or node pool. extra_labels: labels beside those of the level."""

    name: str
    unit: str
    meaning: str
    extra_labels: tuple[str, ...] = ()


_CATALOGUE = (
    # What the engine says.
    Signal("inference:queue_depth:sum", "requests", "requests that wait in engines, for whatever reason"),
    Signal(
        "inference:queue_depth_capacity:sum",
        "requests",
        "requests that wait because the batch or the KV cache is full",
    ),
    Signal("inference:requests_running:sum", "requests", "requests in the batches of all replicas"),
    Signal(
        "inference:replicas_occupied:sum",
        "replicas",
        "replicas' worth of slots in use: running requests over --max-num-seqs, 1 for a replica that queues",
    ),
    Signal("inference:kv_cache_usage:max", "share, 0 to 1", "KV cache in use in the fullest replica"),
    Signal("inference:generation_tokens:rate1m", "tokens per second", "tokens generated"),
    Signal("inference:prompt_tokens:rate1m", "tokens per second", "prompt tokens read, cached ones included"),
    Signal(
        "inference:ttft_seconds_bucket:rate2m",
        "requests per second",
        "first tokens by time since arrival in the engine, cumulative",
        extra_labels=("le",),
    ),
    Signal("inference:ttft_seconds:p50", "seconds", "time to first token, median of 2 minutes"),
    Signal("inference:ttft_seconds:p95", "seconds", "time to first token, 95th percentile of 2 minutes"),
    Signal("inference:first_tokens:rate2m", "requests per second", "requests that got their first token"),
    Signal(
        "inference:ttft_within_objective:ratio_rate2m",
        "share, 0 to 1",
        "requests whose first token came within the objective; absent while there are none",
    ),
    Signal(
        "inference:ttft_burn:ratio_rate2m",
        "times the error budget",
        "share of late first tokens over the share that the objective allows; 0 while there are none",
    ),
    Signal(
        "inference:stuck_replicas:count",
        "replicas",
        "replicas that had requests for 2 minutes and computed no prompt and no token in them",
    ),
    # What the gateway says.
    Signal(
        "inference:arrivals:rate1m",
        "requests per second",
        "requests that arrive at the gateway, whether or not a replica exists",
    ),
    # What Kubernetes says.
    Signal("inference:desired_replicas:sum", "replicas", "replicas that the Deployment asks for"),
    Signal("inference:ready_replicas:sum", "replicas", "replicas that can take requests"),
    Signal("inference:pending_replicas:sum", "replicas", "replicas asked for and not ready"),
    Signal("inference:visible_replicas:sum", "replicas", "replicas whose metrics are being read"),
    # What the autoscaler reads: replicas wanted, each by itself; the largest wins.
    Signal("inference:scaling_queue:replicas", "replicas", "wanted so that waiting requests start in time"),
    Signal("inference:scaling_work:replicas", "replicas", "wanted so that batches meet the service level"),
    Signal(
        "inference:scaling_ttft_guard:replicas",
        "replicas",
        "wanted while first tokens are late although nothing is starting; 0 otherwise",
    ),
    Signal(
        "inference:scaling_hold:replicas",
        "replicas",
        "kept while the metrics of some ready replicas are missing; 0 otherwise",
    ),
    Signal(
        "inference:scaling_wake:replicas",
        "replicas",
        "1 while requests arrive or the first replica has just come up; for models that may sleep",
    ),
    # What is paid for.
    Signal("node_pool:nodes:count", "machines", "machines of a pool that have joined the cluster"),
)

SIGNALS: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _CATALOGUE})

QUEUE = "inference:scaling_queue:replicas"
WORK = "inference:scaling_work:replicas"
TTFT_GUARD = "inference:scaling_ttft_guard:replicas"
HOLD = "inference:scaling_hold:replicas"
WAKE = "inference:scaling_wake:replicas"
STUCK = "inference:stuck_replicas:count"
POOL_NODES = "node_pool:nodes:count"


def signal(name: str) -> Signal:
    """The signal of this name. Raises UnknownNameError."""
    try:
        return SIGNALS[name]
    except KeyError:
        raise UnknownNameError("signal", name, SIGNALS) from None


def series(name: str, service: str, extra: str = "") -> str:
    """The series of a signal for one model, as PromQL selects it. `extra`: more matchers, each after a comma.

    Raises UnknownNameError for a signal that does not exist.
    """
    matchers = f'namespace="{INFERENCE_NAMESPACE}",{SERVICE_LABEL}="{service}"{extra}'
    return f"{signal(name).name}{{{matchers}}}"

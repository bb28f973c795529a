"""Recording rules that turn an engine's own metrics into the signals of serving/signals.py. Pure.

One group per model: Prometheus runs the rules of a group one after another, and a rule sees what the ones
before it have just recorded. Rules in two groups would see each other one interval late.

Three states are kept apart, because an autoscaler must not take one for another:

    idle     targets are up and nothing happens: every signal is an explicit 0
    asleep   the Deployment asks for 0 replicas: every signal is an explicit 0
    blind    replicas should exist and none can be read: the signal is absent, and KEDA holds

A zero is therefore never made from thin air: it comes from a series that exists, or from Kubernetes saying
that the model sleeps. If a metric is renamed, its signal is absent, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.engines import engine_of
from serving.gateway.arrivals import ARRIVALS_METRIC, MODEL_LABEL
from serving.gateway.first_tokens import first_token_buckets
from serving.names import GATEWAY_NAMESPACE, INFERENCE_NAMESPACE
from serving.signals import (
    ENGINE_LABEL,
    HOLD,
    POOL_LABEL,
    POOL_NODES,
    QUEUE,
    SERVICE_LABEL,
    STUCK,
    TTFT_GUARD,
    WAKE,
    WORK,
    series,
    signal,
)
from sizing.labels import NODE_POOL_LABEL

BURN_WINDOW_SECONDS = 120
"""Window of the time-to-first-token signals. Shorter ones see too few requests; longer ones still remember
the burst when it is over."""

GUARD_SETTLE_SECONDS = 60
"""What waited while replicas were starting gets its late first token in the minute after they are ready: the
guard looks at lateness only once a whole window of it has begun after that."""

GUARD_EXTRA_PER_BURN = 0.25
GUARD_EXTRA_MAXIMUM = 0.5
"""Extra replicas of the guard, as a share of the ready ones: a quarter per unit of burn, half at most. The
guard corrects the other rules when they are wrong (another mix of requests, uneven load); it does not replace
them, and half again is as wrong as they have been seen to be."""

VISIBILITY_GRACE_SECONDS = 60
"""How long a replica may be ready before its metrics are missed: discovery and the first scrape."""

STUCK_WINDOW_SECONDS = 120
"""As long as the engine's own probe waits, for all but the longest prompts: an alert on it should last longer
than the restart that the probe asks for (`for: 5m`)."""

WAKE_GRACE_SECONDS = 120
"""How long a model that has just come up counts as asked for: its clients were told to come back within 30 s,
and may have waited longer."""


@dataclass(frozen=True)
class InFlight:
    """How busy a replica should be whose requests take many steps: so many run or wait in it."""

    requests: float


@dataclass(frozen=True)
class Throughput:
    """How busy a replica should be that computes each input within one step.

    vLLM sets its gauges after a step, when what was computed is no longer running, and at a load that is well
    served nothing waits either. What such a replica does shows in its counters only.
    """

    prompt_tokens_per_second: float


@dataclass(frozen=True)
class ScaledModel:
    """A model whose signals are recorded.

    ttft_seconds, ttft_objective: the promise for the first token. max_num_seqs: requests that a replica
    computes at once. target: what the work rule aims at in one replica. first_tokens: waiting requests that
    one replica can start within the promise. minimum: replicas at least; with 0 it may sleep. warm_replicas:
    wanted beyond what load needs.
    """

    name: str
    engine: str
    ttft_seconds: float
    ttft_objective: float
    max_num_seqs: int
    target: InFlight | Throughput
    first_tokens: float
    minimum: int
    warm_replicas: int


@dataclass(frozen=True)
class RecordingRule:
    """One rule: the signal that it records, and its expression."""

    record: str
    expression: str


def rule_group(model: ScaledModel, interval_seconds: int) -> Mapping[str, object]:
    """The group of one model, evaluated every `interval_seconds`, as a PrometheusRule has it."""
    labels = {
        "namespace": INFERENCE_NAMESPACE,
        SERVICE_LABEL: model.name,
        "model_name": model.name,
        ENGINE_LABEL: model.engine,
    }
    return {
        "name": f"inference-{model.name}",
        "interval": f"{interval_seconds}s",
        "rules": [
            {"record": rule.record, "expr": rule.expression, "labels": labels}
            for rule in recording_rules(model, interval_seconds)
        ],
    }


def pool_rule_group(pools: Sequence[str], interval_seconds: int) -> Mapping[str, object]:
    """The group of all node pools: their machines, 0 for a pool that has none."""
    label = "label_" + "".join(c if c.isalnum() else "_" for c in NODE_POOL_LABEL)
    return {
        "name": "node-pools",
        "interval": f"{interval_seconds}s",
        "rules": [
            {
                "record": signal(POOL_NODES).name,
                "expr": f'count(kube_node_labels{{{label}="{pool}"}}) or on () 0 * count(kube_node_labels)',
                "labels": {POOL_LABEL: pool},
            }
            for pool in pools
        ],
    }


def recording_rules(model: ScaledModel, interval_seconds: int) -> list[RecordingRule]:
    """All rules of a model, each after the ones that it reads, for evaluation every `interval_seconds`."""
    rules = [
        *_replicas(model),
        *_engine(model),
        *_first_tokens(model),
        *_gateway(model),
        *_triggers(model, interval_seconds),
    ]
    for rule in rules:
        signal(rule.record)
    return rules


def _raw(metric: str, model: ScaledModel) -> str:
    """An engine's own series, of this model's replicas and of nothing that copies them."""
    own = engine_of(model.engine).metrics.own_label
    matchers = f'{own}!="",namespace="{INFERENCE_NAMESPACE}",{SERVICE_LABEL}="{model.name}"'
    name, brace, rest = metric.partition("{")
    return f"{name}{{{rest[:-1]},{matchers}}}" if brace else f"{name}{{{matchers}}}"


def engine_series(model: ScaledModel) -> list[str]:
    """The engine's own series that the signals of a model are made from, as PromQL selects them."""
    own = engine_of(model.engine).metrics
    metrics = (
        own.running,
        own.waiting,
        own.waiting_for_capacity,
        own.kv_cache_usage,
        own.generation_tokens,
        own.prompt_tokens,
        own.first_token_buckets,
    )
    # What the gateway times has no series before the first answer.
    return [_raw(metric, model) for metric in metrics if metric is not None]


def _asleep(model: ScaledModel) -> str:
    """0 while the Deployment asks for no replica, otherwise absent."""
    return f"0 * ({series('inference:desired_replicas:sum', model.name)} == 0)"


def _or_asleep(expression: str, model: ScaledModel) -> str:
    return f"{expression} or on () {_asleep(model)}"


def _rate(counter: str, window: str) -> str:
    """Sum of rates; 0 for a counter that has been seen once: a rate needs two scrapes."""
    return f"sum(rate({counter}[{window}])) or on () 0 * sum({counter})"


def _replicas(model: ScaledModel) -> list[RecordingRule]:
    deployment = f'namespace="{INFERENCE_NAMESPACE}",deployment="{model.name}"'
    targets = f'up{{namespace="{INFERENCE_NAMESPACE}",{SERVICE_LABEL}="{model.name}"}}'
    desired = series("inference:desired_replicas:sum", model.name)
    ready = series("inference:ready_replicas:sum", model.name)
    return [
        # max: two kube-state-metrics, as during its own update, say the same thing twice.
        RecordingRule(
            "inference:desired_replicas:sum", f"max(kube_deployment_spec_replicas{{{deployment}}})"
        ),
        RecordingRule(
            "inference:ready_replicas:sum", f"max(kube_deployment_status_replicas_ready{{{deployment}}})"
        ),
        RecordingRule("inference:pending_replicas:sum", f"clamp_min({desired} - {ready}, 0)"),
        RecordingRule("inference:visible_replicas:sum", f"sum({targets}) or on () 0 * {desired}"),
    ]


def _engine(model: ScaledModel) -> list[RecordingRule]:
    own = engine_of(model.engine).metrics
    running, queue = _raw(own.running, model), _raw(own.waiting_for_capacity, model)
    slots = f"sum by (pod) ({running}) / {model.max_num_seqs}"
    rules = {
        "inference:queue_depth:sum": f"sum({_raw(own.waiting, model)})",
        "inference:queue_depth_capacity:sum": f"sum({queue})",
        "inference:requests_running:sum": f"sum({running})",
        # A replica that queues is full, however few it runs: long prompts fill its KV cache first.
        "inference:replicas_occupied:sum": f"sum(clamp_max({slots} + (sum by (pod) ({queue}) > bool 0), 1))",
        "inference:kv_cache_usage:max": f"max({_raw(own.kv_cache_usage, model)})",
        "inference:generation_tokens:rate1m": _rate(_raw(own.generation_tokens, model), "1m"),
        "inference:prompt_tokens:rate1m": _rate(_raw(own.prompt_tokens, model), "1m"),
        STUCK: f"{_stuck(model)} or on () 0 * sum({running})",
    }
    return [RecordingRule(name, _or_asleep(expression, model)) for name, expression in rules.items()]


def _stuck(model: ScaledModel) -> str:
    """How many replicas had requests all the time and computed nothing; absent for none."""
    own, window = engine_of(model.engine).metrics, f"{STUCK_WINDOW_SECONDS}s"
    held = " + ".join(
        f"sum by (pod) (min_over_time({_raw(gauge, model)}[{window}]))"
        for gauge in (own.running, own.waiting)
    )
    done = " + ".join(
        f"sum by (pod) (increase({_raw(counter, model)}[{window}]))"
        for counter in (own.generation_tokens, own.prompt_tokens)
    )
    # Not of one that has been there for less than the window.
    old = f"sum by (pod) ({_raw(own.running, model)} offset {window})"
    return f"count(({held}) > 0 and ({done}) == 0 and {old} >= 0)"


def _first_tokens(model: ScaledModel) -> list[RecordingRule]:
    bucket_rates = "inference:ttft_seconds_bucket:rate2m"
    all_requests = series("inference:first_tokens:rate2m", model.name)
    within = series("inference:ttft_within_objective:ratio_rate2m", model.name)
    in_time = series(bucket_rates, model.name, extra=f",le=~{_edge(model.ttft_seconds)}")
    window = f"{BURN_WINDOW_SECONDS}s"
    return [
        RecordingRule(bucket_rates, _bucket_rates(model, window)),
        RecordingRule(
            "inference:first_tokens:rate2m",
            _or_asleep(f"sum({series(bucket_rates, model.name, extra=_le('+Inf'))})", model),
        ),
        *(
            RecordingRule(
                f"inference:ttft_seconds:p{percent}",
                f"histogram_quantile({percent / 100}, {series(bucket_rates, model.name)})"
                f" and {all_requests} > 0",
            )
            for percent in (50, 95)
        ),
        RecordingRule(
            "inference:ttft_within_objective:ratio_rate2m",
            f"sum without (le) ({in_time}) / ({all_requests} > 0)",
        ),
        RecordingRule(
            "inference:ttft_burn:ratio_rate2m",
            f"(1 - {within}) / {_number(1 - model.ttft_objective)} or 0 * {all_requests}",
        ),
    ]


IN_SECONDS = (
    (r"(\\d)", "0.00$1"),
    (r"(\\d{2})", "0.0$1"),
    (r"(\\d{3})", "0.$1"),
    (r"(\\d+)(\\d{3})", "$1.$2"),
    (r"(\\d+)\\.000", "$1.0"),
    (r"(.+[1-9])0+", "$1"),
)
"""Edges of milliseconds, as the gateway has them, in seconds and as Prometheus writes them: 250 as 0.25."""


def _bucket_rates(model: ScaledModel, window: str) -> str:
    own = engine_of(model.engine).metrics
    if own.first_token_buckets is not None:
        buckets = _raw(own.first_token_buckets, model)
        return f"sum by (le) (rate({buckets}[{window}])) or 0 * sum by (le) ({buckets})"
    buckets = first_token_buckets(model.name)
    seconds = f"sum by (le) (rate({buckets}[{window}])) or 0 * sum by (le) ({buckets})"
    for milliseconds, written in IN_SECONDS:
        seconds = f'label_replace({seconds}, "le", "{written}", "le", "{milliseconds}")'
    # Before the first answer there is no series: nothing was timed, which is no reason to hold.
    nothing = f"0 * sum({_raw(own.running, model)})"
    return f'{seconds} or label_replace({nothing}, "le", "+Inf", "", "")'


def _gateway(model: ScaledModel) -> list[RecordingRule]:
    counter = f'{ARRIVALS_METRIC}{{namespace="{GATEWAY_NAMESPACE}",{MODEL_LABEL}="{model.name}"}}'
    return [RecordingRule("inference:arrivals:rate1m", _rate(counter, "1m"))]


def _triggers(model: ScaledModel, interval_seconds: int) -> list[RecordingRule]:
    """What the autoscaler reads, each an absolute number of replicas.

    Absolute, so that none multiplies what is still loading: a replica that has not started adds nothing to
    any of them but the guard, and the guard waits until nothing is starting.

    queue: a new replica takes over waiting requests while the present ones go on with what they run. So the
    replicas wanted are those in use (occupied: at most 1 for each that exists) plus those that the queue
    fills, at the number of requests to which one replica gives the first token in time. No request is
    counted twice: it either runs, and is in the first term, or waits, and is in the second.

    work: all requests in the system over the number that one replica should have, or what is computed over
    what one replica should compute. It acts before anything waits.

    guard: ready + extra while first tokens come late although nothing was starting in the window that the
    lateness is measured over nor in the minute before it, and the window holds enough requests for one of
    them not to be the budget.

    hold: what the Deployment asks for now, while ready replicas cannot be read. The load that they carry is
    missing in the sums above, which still may ask for more.

    wake, for a model that may sleep: 1 while requests arrive. They bring one replica and no more, because
    nothing is known of them yet. A model that has just come up also counts as asked for: those who woke it
    have been told to come back.
    """
    queue = series("inference:queue_depth_capacity:sum", model.name)
    occupied = series("inference:replicas_occupied:sum", model.name)
    desired = series("inference:desired_replicas:sum", model.name)
    ready = series("inference:ready_replicas:sum", model.name)
    pending = series("inference:pending_replicas:sum", model.name)
    visible = series("inference:visible_replicas:sum", model.name)
    burn = series("inference:ttft_burn:ratio_rate2m", model.name)
    first = series("inference:first_tokens:rate2m", model.name)
    arrivals = series("inference:arrivals:rate1m", model.name)
    # Two evaluations: the window of a range leaves out its own beginning.
    twice = f"{2 * interval_seconds}s"
    # With fewer, a single late request is more than the objective allows.
    enough = 1 / (1 - model.ttft_objective) / BURN_WINDOW_SECONDS
    extra = f"clamp_max({GUARD_EXTRA_PER_BURN} * {burn}, {GUARD_EXTRA_MAXIMUM})"
    asked_for = f"{arrivals} > bool 0"
    just_up = f"({ready} > bool 0) * (min_over_time({ready}[{WAKE_GRACE_SECONDS}s]) == bool 0)"
    # Without kube-state-metrics nothing has just come up, but who asks is still known.
    awake = f"({asked_for}) + ({just_up} or 0 * {arrivals}) > bool 0"
    wake = [RecordingRule(WAKE, awake)] if model.minimum == 0 else []
    spare = f" + {model.warm_replicas}" if model.warm_replicas > 0 else ""
    return [
        RecordingRule(QUEUE, f"{occupied} + {queue} / {_number(model.first_tokens)}{spare}"),
        RecordingRule(WORK, f"{_work(model)}{spare}"),
        RecordingRule(
            TTFT_GUARD,
            f"{ready} * (1 + {extra})"
            f" and min_over_time({burn}[{twice}]) > 1 and count_over_time({burn}[{twice}]) >= 2"
            f" and {first} >= {_number(enough)}"
            f" and max_over_time({pending}[{BURN_WINDOW_SECONDS + GUARD_SETTLE_SECONDS}s]) == 0"
            f" or 0 * ({ready} + {burn})",
        ),
        RecordingRule(
            HOLD,
            f"{desired} and {visible} < min_over_time({ready}[{VISIBILITY_GRACE_SECONDS}s])"
            f" or 0 * ({desired} + {ready} + {visible})",
        ),
        *wake,
    ]


def _work(model: ScaledModel) -> str:
    """Replicas that would be as busy as they should be with what there is to do."""
    if isinstance(model.target, Throughput):
        computed = series("inference:prompt_tokens:rate1m", model.name)
        return f"{computed} / {_number(model.target.prompt_tokens_per_second)}"
    running = series("inference:requests_running:sum", model.name)
    waiting = series("inference:queue_depth:sum", model.name)
    return f"({running} + {waiting}) / {_number(model.target.requests)}"


def _le(edge: str) -> str:
    return f',le="{edge}"'


def _edge(seconds: float) -> str:
    """A bucket's edge as a matcher: 1 is written `1.0` by Python and by Prometheus 3, `1` by others."""
    text = _number(seconds)
    escaped = text.replace(".", r"\\.")
    return f'"{escaped}"' if "." in text else rf'"{escaped}(\\.0)?"'


def _number(value: float) -> str:
    """A number in PromQL: six significant digits, more than any of them is known to."""
    return f"{value:.6g}"

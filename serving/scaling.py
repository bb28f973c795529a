"""How many replicas a model runs: a KEDA ScaledObject, from which KEDA makes the HorizontalPodAutoscaler.

Every trigger is a recorded rule in units of replicas (dashboards/recording_rules.py) with the target 1, so
the HPA wants as many replicas as the largest of them says. The number is absolute: it does not depend on
how many replicas there are, so those that are still loading cannot multiply it, as they do in a rule on a
ratio.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.kubernetes_version import KubernetesVersion, has_configurable_tolerance
from serving import signals

POLLING_SECONDS = 5
"""How often KEDA looks whether a sleeping model is asked for; the HPA asks by its own clock. A query takes
milliseconds, and a client waits for the answer."""

FAILURES_BEFORE_FALLBACK = 3
"""Failed queries in a row before KEDA answers in Prometheus' place. Until then the HPA changes nothing."""

TOLERANCE = "0"
"""Share of the target by which a wish may be off before the HPA acts, as Kubernetes writes it back. The
default is 10 % of what runs, pods of a rollout included: at 10 replicas a wish for 11 would be ignored, and
while a surge pod is there a wish for 10 would keep 11 (pkg/controller/podautoscaler of 1.36.2). Rules that
are rounded up to whole replicas need no second threshold; the stabilization of scaleDown damps them."""

SCALE_UP_PERIOD_SECONDS = 15
"""The HPA's own clock: a shorter period could not be noticed."""

SCALE_DOWN_PERIOD_SECONDS = 60
SCALE_DOWN_PERCENT = 50
"""At most half of the replicas leave per minute, once the stabilisation allows it. A wrong low reading then
costs half the replicas, not all; a right one costs a few minutes of machines."""


@dataclass(frozen=True)
class ScalingBounds:
    """How far and how fast a model scales.

    minimum: 0 lets it sleep. scale_down_stabilization_seconds: the HPA goes down to the highest number that
    it wanted in this time. sleep_after_seconds: without a request, until a model with minimum 0 sleeps.
    """

    minimum: int
    maximum: int
    scale_down_stabilization_seconds: int
    sleep_after_seconds: int


def trigger_signals(bounds: ScalingBounds) -> tuple[str, ...]:
    """Signals that the autoscaler reads, in the order of its triggers."""
    always = (signals.QUEUE, signals.WORK, signals.TTFT_GUARD, signals.HOLD)
    return (*always, signals.WAKE) if bounds.minimum == 0 else always


def external_metric(index: int) -> str:
    """Name under which KEDA serves the trigger at this index, and under which the HPA reports its value."""
    return f"s{index}-prometheus"


def scaled_object_spec(
    name: str, bounds: ScalingBounds, prometheus_url: str, kubernetes: KubernetesVersion | None
) -> Mapping[str, object]:
    """Spec of the keda.sh/v1alpha1 ScaledObject of the model `name`, for a cluster of this release.

    Nothing that has KEDA's default is written down: KEDA writes the object back, and its Go type leaves out a
    `false` or an empty text, which would be a change to every refresh.
    """
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "pollingInterval": POLLING_SECONDS,
        # From the last activity to sleep; above 0 replicas the HPA's own stabilisation decides.
        "cooldownPeriod": bounds.sleep_after_seconds,
        # A model that has just been created stays up as long, so that the verification can ask it.
        "initialCooldownPeriod": bounds.sleep_after_seconds,
        "minReplicaCount": bounds.minimum,
        "maxReplicaCount": bounds.maximum,
        **_when_blind(bounds),
        # Without restoreToOriginalReplicaCount: who removes autoscaling wants to keep what runs, not the
        # number from before it.
        "advanced": {
            "horizontalPodAutoscalerConfig": {"name": name, "behavior": behavior(bounds, kubernetes)}
        },
        "triggers": [_trigger(signal, name, prometheus_url) for signal in trigger_signals(bounds)],
    }


def _when_blind(bounds: ScalingBounds) -> Mapping[str, object]:
    """What KEDA does when Prometheus cannot be asked, or has no value: keep what runs.

    A model that may sleep gets no fallback. A trigger that falls back counts as active, so after three
    queries KEDA would start a replica of every sleeping model at once (keda#7244; seen with 2.20.2). Without
    one an error changes nothing: what sleeps stays asleep, what runs neither sleeps nor scales
    (pkg/scaling/executor/scale_scaledobjects.go of 2.20.2).
    """
    if bounds.minimum == 0:
        return {}
    return {
        "fallback": {
            "failureThreshold": FAILURES_BEFORE_FALLBACK,
            "replicas": bounds.minimum,
            "behavior": "currentReplicasIfHigher",
        }
    }


def behavior(bounds: ScalingBounds, kubernetes: KubernetesVersion | None) -> Mapping[str, object]:
    """Up at once and to any number; down slowly. Exactly to the largest wish, rounded up, where the cluster's
    release lets an HPA have its own tolerance."""
    exact = {"tolerance": TOLERANCE} if has_configurable_tolerance(kubernetes) else {}
    return {
        "scaleUp": {
            **exact,
            # The rules are smooth and absolute: waiting would only add to the minutes of a cold start.
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": bounds.maximum, "periodSeconds": SCALE_UP_PERIOD_SECONDS}],
        },
        "scaleDown": {
            **exact,
            "stabilizationWindowSeconds": bounds.scale_down_stabilization_seconds,
            "selectPolicy": "Max",
            "policies": [
                {
                    "type": "Percent",
                    "value": SCALE_DOWN_PERCENT,
                    "periodSeconds": SCALE_DOWN_PERIOD_SECONDS,
                },
                # Half of one replica is none: without this a model would stay at 1 above its minimum.
                {"type": "Pods", "value": 1, "periodSeconds": SCALE_DOWN_PERIOD_SECONDS},
            ],
        },
    }


def _trigger(signal: str, name: str, prometheus_url: str) -> Mapping[str, object]:
    return {
        "type": "prometheus",
        # AverageValue: wanted = ceil(value / 1), whatever runs. `Value` would multiply by ready replicas.
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": prometheus_url,
            "query": signals.series(signal, name),
            "threshold": "1",
            # Above 0 the model is awake; only minReplicaCount 0 makes use of it.
            "activationThreshold": "0",
            # No value means blind. The default, true, would take it for 0 and scale down.
            "ignoreNullValues": "false",
        },
    }

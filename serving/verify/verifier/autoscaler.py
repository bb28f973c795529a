"""Does the autoscaler of a model see it, and act?"""

from __future__ import annotations

import math

from .error_answers import look
from .failed import Failed
from .prometheus import Prometheus
from .settings import Model, Trigger


def check_trigger(prometheus: Prometheus, model: Model, trigger: Trigger) -> str:
    """Prometheus has exactly one number for what the autoscaler reads."""
    values = prometheus.query(trigger.query)
    label = f"trigger {trigger.signal} of model {model.name}"
    if len(values) == 1 and math.isfinite(values[0]):
        return f"{label}: {values[0]:g} replicas"
    if values:
        raise Failed(f"{label}: {values} is not one number: something else records the same series")
    raise Failed(f"{label}: Prometheus has no value; {why_no_value(prometheus, model)}")


def why_no_value(prometheus: Prometheus, model: Model) -> str:
    """The first link from the pod to the recorded rule that is missing."""
    name, namespace = model.name, model.service.namespace
    up = f'up{{namespace="{namespace}",inference_service="{model.service.name}"}}'
    if not prometheus.replicas(model):
        return f"kube-state-metrics does not know Deployment {namespace}/{name}: is it running, and scraped?"
    targets = prometheus.query(up)
    if not targets:
        return (
            f"it reads no pod of this model: PodMonitor {namespace}/engines selects pods labelled "
            f"app.kubernetes.io/component=engine and their port http, and {model.service.selector} names the "
            "model"
        )
    if 1 not in targets:
        return f"{len(targets)} pods are selected and none can be read ({up} is 0); {look(model)}"
    for metric in model.engine_series:
        if not prometheus.query(metric):
            return f"the engine does not expose {metric}: serving/signals.py names it otherwise"
    return (
        f"PrometheusRule {namespace}/{name} is not loaded, or reads the gateway: PodMonitor gateway/gateway"
    )


def check_autoscaler(prometheus: Prometheus, model: Model) -> str:
    """The HPA is active, has a current value from each trigger, and has raised the model to its minimum."""
    name, namespace = model.name, model.service.namespace
    label = f"autoscaler of model {name}"
    if prometheus.asleep(model):
        return f"{label}: asleep, until requests arrive"
    hpa = f'namespace="{namespace}",horizontalpodautoscaler="{name}"'
    described = f"look: kubectl -n {namespace} describe hpa,scaledobject {name}"
    active = prometheus.query(
        f'kube_horizontalpodautoscaler_status_condition{{{hpa},condition="ScalingActive",status="true"}}'
    )
    if not active:
        raise Failed(
            f"{label}: there is no HPA {namespace}/{name}, which KEDA makes from the ScaledObject of that "
            f"name; {described}"
        )
    if active != [1]:
        raise Failed(f"{label}: its condition ScalingActive is not True; {described}")
    for trigger in model.triggers:
        value = f'kube_horizontalpodautoscaler_status_target_metric{{{hpa},metric_name="{trigger.metric}"}}'
        if not prometheus.query(value):
            raise Failed(f"{label}: no current value of {trigger.metric} ({trigger.signal}); {described}")
    replicas = prometheus.replicas(model)
    if any(asked < model.minimum for asked in replicas):
        raise Failed(
            f"{label}: Deployment {namespace}/{name} asks for {replicas[0]:g} replicas, and its minimum is "
            f"{model.minimum}; {described}"
        )
    return f"{label}: active, {len(model.triggers)} triggers with a value"

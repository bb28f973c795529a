"""A model with an autoscaler, and what Prometheus says while both work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from serving.verify.verifier.settings import Trigger
from tests.serving.verify.imitations import CHAT

QUEUE = 'inference:scaling_queue:replicas{inference_service="chat"}'
TRIGGER = Trigger("inference:scaling_queue:replicas", QUEUE, "s0-prometheus")
MODEL = replace(CHAT, triggers=(TRIGGER,), engine_series=("vllm:num_requests_running",))

HPA = 'namespace="inference",horizontalpodautoscaler="chat"'
REPLICAS = 'kube_deployment_spec_replicas{namespace="inference",deployment="chat"}'
ACTIVE = f'kube_horizontalpodautoscaler_status_condition{{{HPA},condition="ScalingActive",status="true"}}'
VALUE = f'kube_horizontalpodautoscaler_status_target_metric{{{HPA},metric_name="s0-prometheus"}}'
UP = 'up{namespace="inference",inference_service="chat"}'

Known = Mapping[str, Sequence[object]]
WORKING: Known = {
    QUEUE: [0.0],
    REPLICAS: [1],
    ACTIVE: [1],
    VALUE: [0],
    UP: [1],
    "vllm:num_requests_running": [0],
}

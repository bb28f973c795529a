"""The neutral signals that a load run reads: the same names as autoscaling, boards and alerts."""

from __future__ import annotations

QUEUE = "inference:queue_depth:sum"
RUNNING = "inference:requests_running:sum"
TRIGGERS = (
    "inference:scaling_queue:replicas",
    "inference:scaling_work:replicas",
    "inference:scaling_ttft_guard:replicas",
)
"""What the autoscaler reads, in units of replicas."""

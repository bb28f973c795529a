"""The signals that a load run reads, by the neutral names that autoscaling, boards and alerts read, too."""

from __future__ import annotations

from serving.signals import HOLD, TTFT_GUARD, WORK, signal
from serving.signals import QUEUE as QUEUE_TRIGGER

QUEUE = signal("inference:queue_depth:sum").name

TRIGGERS = (QUEUE_TRIGGER, WORK, TTFT_GUARD, HOLD)
"""What the autoscaler of every model reads, in units of replicas."""

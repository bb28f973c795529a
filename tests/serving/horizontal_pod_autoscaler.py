"""How the HPA makes a number of replicas from an external metric with an AverageValue target of 1.

GetExternalPerPodMetricReplicas and tolerancesForHpa of Kubernetes 1.36.2 (pkg/controller/podautoscaler), line
by line; tests/local/on_cluster/test_tolerance.py asks the real one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

DEFAULT_TOLERANCE = 0.1
"""--horizontal-pod-autoscaler-tolerance of the controller manager."""


def wanted_replicas(milli_wish: int, pods: int, behavior: Mapping[str, Any]) -> int:
    """Replicas wanted. milli_wish: value of the metric in thousandths. pods: all that the selector finds."""
    down = float(behavior["scaleDown"].get("tolerance", DEFAULT_TOLERANCE))
    up = float(behavior["scaleUp"].get("tolerance", DEFAULT_TOLERANCE))
    usage_ratio = milli_wish / (1000 * pods)
    if (1.0 - down) <= usage_ratio <= (1.0 + up):
        return pods
    return math.ceil(milli_wish / 1000)

"""A model whose rules the tests look at, with round numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dashboards.recording_rules import InFlight, ScaledModel


def scaled_model(**changes: Any) -> ScaledModel:
    """14 requests at once, 8 aimed at, 6 first tokens in time, objective 95 % within 1 s."""
    base = ScaledModel(
        name="chat",
        engine="vllm",
        ttft_seconds=1.0,
        ttft_objective=0.95,
        max_num_seqs=14,
        target=InFlight(8.0),
        first_tokens=6.0,
        minimum=1,
        warm_replicas=0,
    )
    return replace(base, **changes)

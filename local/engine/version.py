"""Which vLLM the emulator stands for, and how it says what it is."""

from __future__ import annotations

from local.engine.machine import Machine
from local.engine.settings import Engine

ENGINE_VERSION = "0.32.0"


def emulator_facts(engine: Engine) -> dict[str, object]:
    """What /version adds to vLLM's answer."""
    timing = engine.timing
    return {
        "emulator": True,
        "timing": timing.basis,
        "timing_source": timing.source,
        "step_ms": {
            "per_step": round(timing.alpha_ms, 4),
            "per_computed_token": round(timing.beta_ms, 6),
            "per_context_token": round(timing.gamma_ms, 8),
            "per_sequence": round(timing.sequence_ms, 6),
            "all_experts": round(timing.experts_ms, 4),
        },
        "accelerator": engine.accelerator.name,
        "tensor_parallel": engine.tensor_parallel,
        "precision": engine.precision,
    }


def banner(engine: Engine, machine: Machine) -> str:
    """The first lines of the log."""
    gpus = f"{engine.tensor_parallel} x {engine.accelerator.product}"
    return "\n".join(
        (
            f"vLLM {ENGINE_VERSION} EMULATOR: no GPU is used and no model is loaded",
            f"  model      {engine.model.name}, {engine.precision}, {engine.weights_gib:.1f} GiB on {gpus}",
            f"  timing     {engine.timing.basis}: {engine.timing.source}",
            f"  cold start scaled by {machine.cold_start_scale:g}",
        )
    )

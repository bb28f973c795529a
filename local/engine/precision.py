"""Which precision the weights end up in: what vLLM makes of --quantization, --dtype and the checkpoint."""

from __future__ import annotations

from local.engine.refusal import Refused
from sizing.fit.datatypes import ONLINE, OWN_METHODS
from sizing.hardware.accelerators import Accelerator
from sizing.models.models import Model

METHODS = (
    "awq", "auto_awq", "fp8", "fbgemm_fp8", "fp_quant", "modelopt", "modelopt_fp4", "modelopt_mxfp8",
    "modelopt_mixed", "auto_gptq", "gptq", "gptq_marlin", "awq_marlin", "humming", "compressed-tensors",
    "experts_int8", "quark", "moe_wna16", "torchao", "inc", "mxfp4", "gpt_oss_mxfp4", "deepseek_v4_fp8",
    "online", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only",
    "nvfp4_per_token", "mxfp8",
)  # fmt: skip
"""Values of --quantization that vLLM 0.32 knows."""

DEPRECATED = ("fbgemm_fp8", "fp_quant")


def weight_precision(
    model: Model, accelerator: Accelerator, quantization: str | None, dtype: str, deprecated_allowed: bool
) -> str:
    """Precision of the weights in memory. Raises Refused on what vLLM refuses."""
    capability = float(accelerator.compute_capability)
    if dtype == "bfloat16" and capability < 8.0:
        raise Refused(
            "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your "
            f"{accelerator.product} GPU has compute capability {accelerator.compute_capability}. You can use "
            "float16 instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half."
        )
    if quantization is None:
        return model.checkpoint
    if quantization not in METHODS:
        raise Refused(f"Unknown quantization method: {quantization}. Must be one of {list(METHODS)}.")
    if quantization in DEPRECATED and not deprecated_allowed:
        raise Refused(
            f"The quantization method {quantization} is deprecated and will be removed in future versions of "
            "vLLM. To bypass, set `--allow-deprecated-quantization`."
        )
    if model.checkpoint in OWN_METHODS:
        own = OWN_METHODS[model.checkpoint]
        if quantization not in own:
            method = model.architecture.quantization.method
            raise Refused(
                f"Quantization method specified in the model config ({method}) does not match the "
                f"quantization method specified in the `quantization` argument ({quantization})."
            )
        return model.checkpoint
    if quantization not in ONLINE:
        raise Refused(
            f"Cannot find the config file for {quantization}: {model.name} holds {model.checkpoint} weights, "
            f"and only {', '.join(ONLINE)} quantise while loading."
        )
    return ONLINE[quantization].precision

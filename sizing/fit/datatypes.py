"""Data types: what --quantization and --kv-cache-dtype mean, and what the hardware can compute in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sizing.choices import valid_choices
from sizing.hardware.accelerators import Accelerator
from sizing.models.architecture import LINEAR, Quantization
from sizing.models.models import Model
from sizing.models.weights import ONLINE_FP8

INT8_WEIGHTS = Quantization("int8", "int8", 1.0, LINEAR)

ONLINE: Mapping[str, Quantization] = {
    "fp8": ONLINE_FP8,
    "fp8_per_tensor": ONLINE_FP8,
    "fp8_per_block": ONLINE_FP8,
    "fp8_per_channel": ONLINE_FP8,
    "mxfp8": ONLINE_FP8,
    "int8_per_channel_weight_only": INT8_WEIGHTS,
    "experts_int8": Quantization("int8", "experts_int8", 1.0, frozenset({"experts"})),
    "bitsandbytes": Quantization("int4", "bitsandbytes", 0.52, LINEAR),
}
"""Methods that quantise a 16-bit checkpoint while loading."""

OWN_METHODS: Mapping[str, tuple[str, ...]] = {
    "fp8": ("compressed-tensors", "fp8", "fbgemm_fp8", "modelopt", "w8a8_fp8"),
    "int8": ("compressed-tensors", "w8a8_int8", "gptq", "bitsandbytes", "awq"),
    "int4": ("awq", "awq_marlin", "gptq", "gptq_marlin", "compressed-tensors", "moe_wna16", "bitsandbytes"),
    "mxfp4": ("mxfp4", "gpt_oss_mxfp4", "compressed-tensors"),
    "nvfp4": ("modelopt", "modelopt_fp4", "compressed-tensors", "nvfp4"),
}
"""Methods that a quantised checkpoint may be served with: they repeat what its config.json says."""

CACHE_BYTES: Mapping[str, float] = {
    "bfloat16": 2, "float16": 2, "half": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1,
    "fp8_ds_mla": 1, "int8": 1, "nvfp4": 0.5625,
}  # fmt: skip
"""Bytes of one cached value, by --kv-cache-dtype."""


class DatatypeError(ValueError):
    """A method or type that this model cannot be served with; the message says which can."""


def served_quantization(model: Model, method: str | None) -> Quantization:
    """How the weights end up in memory. Raises DatatypeError if `method` cannot bring them there."""
    own = model.architecture.quantization
    if method is None or method in ("auto", "none", own.precision, own.method):
        return own
    if own.method is None:
        found = ONLINE.get(method)
        if found is None:
            raise DatatypeError(
                f'quantization "{method}" needs a checkpoint that holds it, and {model.name} holds 16 bits; '
                f"while loading, {', '.join(ONLINE)} are possible"
            )
        return found
    if method not in OWN_METHODS.get(own.precision, ()):
        raise DatatypeError(
            f'quantization "{method}" is not what {model.name} holds: its checkpoint is {own.precision} '
            f"({own.method}); leave quantization out"
        )
    return own


def cache_bytes(model: Model, dtype: str) -> float:
    """Bytes of one cached value. `auto` follows the checkpoint: 16 bits unless it brings scales for 8.

    Raises DatatypeError on a type that is not known.
    """
    if dtype == "auto":
        return 1 if model.architecture.quantization.eight_bit_cache else 2
    found = CACHE_BYTES.get(dtype)
    if found is None:
        raise DatatypeError(
            f'kv_cache_dtype "{dtype}" is unknown: {valid_choices(dtype, ["auto", *CACHE_BYTES])}'
        )
    return found


def unsupported(
    model: Model, gpu: Accelerator, quantization: Quantization, cache_dtype: str
) -> Iterator[str]:
    """What the GPU has no units for, so that the engine refuses to start."""
    capability = float(gpu.compute_capability)
    has = f"{gpu.name} has compute capability {gpu.compute_capability}"
    if capability < 8.0 and model.architecture.compute_dtype == "bfloat16":
        yield (
            f"bfloat16 needs compute capability 8.0 and {has}: engines would fall back to float16, in which "
            "models trained in bfloat16 overflow. Use a float16 checkpoint, or a GPU from nvidia-a10g on"
        )
    if capability < 8.0 and quantization.precision in ("fp8", "mxfp4", "nvfp4"):
        yield f"{quantization.precision} weights need compute capability 8.0 and {has}"
    size = cache_bytes(model, cache_dtype)
    if size < 1 and capability < 10.0:
        yield f"a {cache_dtype} KV cache needs compute capability 10.0 and {has}"
    elif size == 1 and cache_dtype != "int8" and capability < 8.9:
        yield (
            f"an fp8 KV cache needs compute capability 8.9 and {has}: set kv_cache_dtype to bfloat16, or use "
            "a GPU from nvidia-l4 on"
        )


def without_native_units(gpu: Accelerator, quantization: Quantization) -> Iterator[str]:
    """What runs, but with weights expanded to 16 bits for every multiplication."""
    needed = {"fp8": 8.9, "nvfp4": 10.0}.get(quantization.precision)
    if needed is not None and 8.0 <= float(gpu.compute_capability) < needed:
        yield (
            f"{gpu.name} has no {quantization.precision} units: the weights are kept in it and computed "
            "in 16 bits, which saves memory and no time"
        )

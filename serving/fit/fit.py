"""Does one replica fit, and how much room is left: the sum of gpu memory, then the cache in blocks."""

from __future__ import annotations

from serving.fit.request import FitRequest
from serving.fit.result import Fit
from serving.limits import default_running, default_step_tokens
from serving.memory import GIB, Placement, kv_pool_gib, weights_gib

BLOCK_TOKENS = 16
DEFAULT_UTILIZATION = 0.92


def fit(request: FitRequest) -> Fit:
    """The answer for one replica. Never raises for a request that cannot run: that is `fits: False`."""
    model, gpu = request.model, request.accelerator
    precision = model.checkpoint if request.quantization is None else request.quantization
    utilization = (
        DEFAULT_UTILIZATION if request.gpu_memory_utilization is None else request.gpu_memory_utilization
    )
    placement = Placement(
        model=model,
        accelerator=gpu,
        weights_gib=weights_gib(model, precision),
        tensor_parallel=request.tensor_parallel,
        utilisation=utilization,
        step_tokens=default_step_tokens(gpu)
        if request.max_num_batched_tokens is None
        else request.max_num_batched_tokens,
        block_size=BLOCK_TOKENS,
        kv_bytes_per_value=1 if "8" in request.kv_cache_dtype else 2,
        graphs=True,
    )
    pool = kv_pool_gib(placement)
    blocks = max(0, int(pool * GIB) // placement.block_bytes)
    context = model.max_context if request.max_model_len is None else request.max_model_len
    tokens = blocks * BLOCK_TOKENS
    weights = placement.weights_gib / request.tensor_parallel
    requested = gpu.usable_gib * utilization
    fits = tokens >= context
    typical = context if request.typical_request is None else request.typical_request.tokens
    return Fit(
        fits=fits,
        reason=""
        if fits
        else f"one request of {context} tokens does not fit: the longest is {min(tokens, model.max_context)}",
        usable_gib=gpu.usable_gib,
        requested_gib=requested,
        weights_gib=weights,
        overhead_gib=requested - weights - pool,
        kv_pool_gib=pool,
        kv_bytes_per_token=placement.block_bytes // BLOCK_TOKENS,
        kv_tokens=tokens,
        max_concurrency=tokens / context,
        max_context=min(tokens, model.max_context),
        max_num_seqs=max(1, min(default_running(gpu), tokens // typical)),
        uncertainty_pct=8.0,
    )

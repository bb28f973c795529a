"""Several models on one GPU, as Triton serves them: shares of memory add up.

Each vLLM instance asks for its own share of the whole GPU and refuses to start if that much is not free, so
copies of an instance group count once each. Models of other backends (ONNX, TensorRT, Python) hold a fixed
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sizing.fit.fit import fit
from sizing.fit.memory import setting
from sizing.fit.request import FitRequest
from sizing.hardware.accelerators import Accelerator

CONTEXT_GIB = 0.5
"""CUDA context of a process that is no vLLM engine (0.3 to 0.6 GiB by GPU, estimated)."""


@dataclass(frozen=True)
class EngineInstances:
    """An instance group whose backend is vLLM. instances: copies on this GPU."""

    name: str
    request: FitRequest
    instances: int = 1


@dataclass(frozen=True)
class FixedInstances:
    """An instance group of another backend. gib: weights and workspace of one copy."""

    name: str
    gib: float
    instances: int = 1


@dataclass(frozen=True)
class Share:
    """What one instance group takes of the GPU, all copies together, GiB."""

    name: str
    gib: float


def shares(
    gpu: Accelerator, engines: Sequence[EngineInstances], others: Sequence[FixedInstances]
) -> tuple[Share, ...]:
    """Memory of each instance group on one GPU."""
    taken = [
        Share(group.name, setting(group.request).utilization * gpu.usable_gib * group.instances)
        for group in engines
    ]
    fixed = [Share(group.name, (group.gib + CONTEXT_GIB) * group.instances) for group in others]
    return (*taken, *fixed)


def problems(
    gpu: Accelerator, engines: Sequence[EngineInstances], others: Sequence[FixedInstances] = ()
) -> Iterator[str]:
    """Why these instance groups do not run together on one GPU: the sum first, then each engine by itself."""
    found = shares(gpu, engines, others)
    total = sum(share.gib for share in found)
    if total > gpu.usable_gib:
        listed = " + ".join(f"{share.name} {share.gib:.2f}" for share in found)
        yield (
            f"{listed} = {total:.2f} GiB is more than the {gpu.usable_gib:.2f} GiB of {gpu.name}: lower "
            f"gpu_memory_utilization{_largest_share(gpu, engines, others)}"
        )
    for group in engines:
        answer = fit(replace(group.request, accelerator=gpu))
        if not answer.fits:
            yield f"{group.name}: {answer.reason}"


def _largest_share(
    gpu: Accelerator, engines: Sequence[EngineInstances], others: Sequence[FixedInstances]
) -> str:
    """The utilization at which equal shares of all engine instances would just fit."""
    instances = sum(group.instances for group in engines)
    fixed = sum(share.gib for share in shares(gpu, (), others))
    if instances == 0 or fixed >= gpu.usable_gib:
        return ""
    share = (1 - fixed / gpu.usable_gib) / instances
    return f" to {int(share * 100) / 100:g} for each of {instances} engine instances"

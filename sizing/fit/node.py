"""Whether a machine has room for the pod of a replica: GPUs, memory, CPU, shared memory, disk."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from sizing.fit.request import FitRequest
from sizing.hardware.machines import MachineShape

SHARED_MEMORY_GIB_PER_GPU = 2
"""Tensor-parallel workers exchange tensors in /dev/shm. KServe gives 1 GiB in all; buffers grow with GPUs. It
is memory of the pod."""

PROCESS_MEMORY_GIB = 4
"""Host memory of each worker beside shared memory: Python, CUDA libraries, pinned buffers (3 to 4 GiB)."""

CPUS_PER_WORKER = 1
"""A worker that shares its core with the scheduler or the HTTP server leaves its GPU idle."""

IMAGE_GIB = {"vllm": 25, "sglang": 30, "tgi": 15, "triton": 35}
"""Unpacked size of the engine's image and its compressed layers: estimated from 10 to 15 GB pulls."""

SCRATCH_GIB = 4
"""What libraries write into a home folder and a cache that is gone with the pod. Weights and compiled kernels
are on volumes."""

GIB_PER_GB = 1e9 / 1024**3


def shared_memory_gib(gpus: int) -> int:
    """Size of /dev/shm for a replica on this many GPUs; none on one."""
    return SHARED_MEMORY_GIB_PER_GPU * gpus if gpus > 1 else 0


def needed_memory_gib(gpus: int) -> int:
    """Host memory that a replica cannot do without."""
    return PROCESS_MEMORY_GIB * gpus + shared_memory_gib(gpus)


def needed_disk_gib(request: FitRequest) -> int:
    """Disk for the image, scratch files, and weights where they come as an image too."""
    return IMAGE_GIB[request.engine] + ceil(request.node_weights_gib) + SCRATCH_GIB


def problems(request: FitRequest, machine: MachineShape) -> Iterator[str]:
    """Why the pod of this replica does not fit this machine."""
    gpus = request.tensor_parallel * request.pipeline_parallel
    if machine.accelerator != request.accelerator.name:
        yield f"{machine.name} carries {machine.accelerator}, not {request.accelerator.name}"
        return
    if gpus > machine.accelerator_count:
        yield (
            f"tensor_parallel {request.tensor_parallel} x pipeline_parallel {request.pipeline_parallel} "
            f"takes {gpus} GPUs and {machine.name} has {machine.accelerator_count}"
        )
        return
    yield from _memory_problems(request, machine, gpus)
    cpus = CPUS_PER_WORKER * gpus if request.pod_cpus is None else request.pod_cpus
    if cpus * 1000 > machine.allocatable_cpu_millicores:
        yield (
            f"a pod of {cpus:g} CPUs does not fit {machine.name}, which leaves "
            f"{machine.allocatable_cpu_millicores / 1000:.2f} for pods"
        )
    disk = needed_disk_gib(request)
    # Without NVMe of its own the machine has an attached disk of whatever size the pool asks for.
    if 0 < machine.local_disk_gb * GIB_PER_GB < disk:
        yield (
            f"image, weights and scratch files take {disk} GiB of disk and {machine.name} has "
            f"{machine.local_disk_gb * GIB_PER_GB:.0f} GiB"
        )


def _memory_problems(request: FitRequest, machine: MachineShape, gpus: int) -> Iterator[str]:
    left = machine.allocatable_memory_gib
    needed = needed_memory_gib(gpus)
    asked = request.pod_memory_gib
    if asked is None:
        if needed > left:
            yield (
                f"a replica on {gpus} GPUs needs {needed} GiB of host memory and {machine.name} leaves "
                f"{left:.1f} GiB for pods"
            )
        return
    if asked > left:
        yield (
            f"a pod of {asked:g} GiB of memory does not fit {machine.name}, which leaves {left:.1f} GiB for "
            "pods"
        )
    if asked < shared_memory_gib(gpus) + gpus:
        yield (
            f"a pod of {asked:g} GiB of memory is too small: /dev/shm alone may take "
            f"{shared_memory_gib(gpus)} GiB on {gpus} GPUs, and {needed} GiB are needed in all"
        )

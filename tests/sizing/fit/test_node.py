from __future__ import annotations

from dataclasses import replace

from sizing.fit import FitRequest, fit, node
from sizing.hardware.machines import machine
from tests.sizing.fit.requests import ask

SMALL = replace(
    ask("Qwen/Qwen3-8B", "nvidia-l4", quantization="fp8", max_model_len=8192), machine=machine("g6.2xlarge")
)


def reasons(request: FitRequest) -> str:
    assert request.machine is not None
    return "; ".join(node.problems(request, request.machine))


def test_a_replica_that_fits_its_machine():
    assert reasons(SMALL) == ""
    assert fit(SMALL).fits


def test_a_machine_with_other_gpus():
    assert "carries nvidia-a10g, not nvidia-l4" in reasons(replace(SMALL, machine=machine("g5.2xlarge")))


def test_more_gpus_than_the_machine_has():
    assert "takes 2 GPUs and g6.2xlarge has 1" in reasons(replace(SMALL, tensor_parallel=2))
    assert "takes 8 GPUs" in reasons(replace(SMALL, tensor_parallel=2, pipeline_parallel=4))


def test_host_memory():
    assert "48 GiB" in reasons(replace(SMALL, pod_memory_gib=48))
    four = replace(SMALL, tensor_parallel=4, machine=machine("g6.12xlarge"))
    assert reasons(four) == ""
    assert "/dev/shm alone may take 8 GiB" in reasons(replace(four, pod_memory_gib=10))


def test_cpu():
    assert "a pod of 9 CPUs does not fit g6.2xlarge" in reasons(replace(SMALL, pod_cpus=9))


def test_disk_holds_image_scratch_files_and_weights_that_come_as_an_image():
    """DeepSeek-V3 is 627 GiB to download; a g6.2xlarge has a disk of 450 GB."""
    large = replace(ask("deepseek-ai/DeepSeek-V3", "nvidia-l4"), machine=machine("g6.2xlarge"))
    assert "disk" not in reasons(large)
    as_image = replace(large, node_weights_gib=large.model.download_gib)
    assert "of disk and g6.2xlarge has 419 GiB" in reasons(as_image)
    assert node.needed_disk_gib(SMALL) == 25 + 4


def test_shared_memory_is_for_several_gpus():
    assert [node.shared_memory_gib(gpus) for gpus in (1, 2, 8)] == [0, 4, 16]

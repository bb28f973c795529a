from __future__ import annotations

from sizing.fit.shared_gpu import EngineInstances, FixedInstances, problems, shares
from sizing.hardware.accelerators import accelerator
from tests.sizing.fit.requests import ask

GPU = accelerator("nvidia-l40s")


def chat(utilization: float, instances: int = 1) -> EngineInstances:
    request = ask(
        "Qwen/Qwen3-8B", "nvidia-l40s", engine="triton", quantization="fp8", max_model_len=4096,
        gpu_memory_utilization=utilization,
    )  # fmt: skip
    return EngineInstances("chat", request, instances)


def test_shares_add_up_over_copies_and_backends():
    found = shares(GPU, [chat(0.4, instances=2)], [FixedInstances("vision", 1.5, instances=2)])
    assert [share.name for share in found] == ["chat", "vision"]
    assert found[0].gib == 0.4 * 44.31 * 2
    assert found[1].gib == 4.0


def test_models_that_fit_together():
    assert list(problems(GPU, [chat(0.4, instances=2)], [FixedInstances("vision", 1.5)])) == []


def test_too_much_together_names_the_share_that_would_do():
    (problem,) = problems(GPU, [chat(0.45, instances=2)], [FixedInstances("vision", 4.5)])
    assert "chat 39.88 + vision 5.00 = 44.88 GiB is more than the 44.31 GiB of nvidia-l40s" in problem
    assert problem.endswith("lower gpu_memory_utilization to 0.44 for each of 2 engine instances")
    assert list(problems(GPU, [chat(0.44, instances=2)], [FixedInstances("vision", 4.5)])) == []


def test_fixed_models_alone_can_be_too_large():
    (problem,) = problems(GPU, [], [FixedInstances("vision", 22, instances=2)])
    assert problem.endswith("lower gpu_memory_utilization")


def test_an_engine_that_does_not_fit_its_share_is_named():
    (problem,) = problems(GPU, [chat(0.2)])
    assert problem.startswith("chat: ")

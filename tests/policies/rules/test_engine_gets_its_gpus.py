"""GPU-002: parallelism against the pod's GPUs, and the pod's GPUs against machines."""

from __future__ import annotations

import pytest

from policies.rules.engine_gets_its_gpus import RULE
from tests.policies.judging import changed, golden, judge, with_argument

LARGE, POOL = golden("deployment-chat-large"), golden("nodepool-rtx-pro-6000")
POD = "spec.template.spec"
RESOURCES = f"{POD}.containers.0.resources"


def gpus(manifest, count):
    amounts = {"nvidia.com/gpu": count}
    return changed(manifest, RESOURCES, {"limits": amounts, "requests": amounts})


def test_what_the_platform_registers_passes():
    assert judge(RULE, LARGE, POOL, golden("deployment-chat"), golden("nodepool-l4")).violations == []


@pytest.mark.parametrize(
    ("flag", "value", "needed"),
    [
        ("--tensor-parallel-size", "4", 4),
        ("-tp", "8", 8),
        ("--pipeline-parallel-size", "2", 4),
        ("--data-parallel-size", "3", 6),
        ("--tensor_parallel_size", "4", 4),
    ],
)
def test_more_parallelism_than_gpus(flag, value, needed):
    (violation,) = judge(RULE, with_argument(LARGE, flag, value), POOL).violations
    assert violation.startswith("Deployment/inference/chat-large: ")
    assert f"over {needed} GPUs and gets 2" in violation


def test_no_gpu_at_all():
    (violation,) = judge(RULE, changed(LARGE, RESOURCES, {}), POOL).violations
    assert "over 2 GPUs and gets 0" in violation


@pytest.mark.parametrize("count", [2, 2.0, "2"])
def test_quantities_are_numbers_or_text(count):
    assert judge(RULE, gpus(LARGE, count), POOL).violations == []


def test_more_gpus_than_the_largest_machine_of_the_pool():
    (violation,) = judge(RULE, gpus(LARGE, 4), POOL).violations
    assert (
        "asks for 4 GPUs, and the largest machine that its node selector reaches, g7e.12xlarge, has 2"
        in violation
    )


def test_the_selector_decides_which_pool_counts():
    eight = changed(POOL, "metadata.name", "eight")
    eight = changed(eight, "spec.template.metadata.labels", {"llm-platform/node-pool": "eight"})
    eight["spec"]["template"]["spec"]["requirements"][0]["values"] = ["g7e.48xlarge"]
    assert len(judge(RULE, gpus(LARGE, 8), POOL, eight).violations) == 1
    moved = changed(gpus(LARGE, 8), f"{POD}.nodeSelector", {"llm-platform/node-pool": "eight"})
    assert judge(RULE, moved, POOL, eight).violations == []


def test_without_a_registered_pool_the_machine_label_decides():
    chosen = changed(
        gpus(LARGE, 8), f"{POD}.nodeSelector", {"node.kubernetes.io/instance-type": "g6.12xlarge"}
    )
    (violation,) = judge(RULE, chosen).violations
    assert "g6.12xlarge, has 4" in violation


def test_a_shell_script_is_read():
    shell = changed(LARGE, f"{POD}.containers.0.command", ["/bin/sh", "-c"])
    script = "exec vllm serve Qwen/Qwen3-8B \\\n  --tensor-parallel-size=4"
    shell = changed(shell, f"{POD}.containers.0.args", [script])
    (violation,) = judge(
        RULE, changed(shell, f"{POD}.containers.0.image", "example.com/ours:1"), POOL
    ).violations
    assert "over 4 GPUs" in violation


@pytest.mark.parametrize(
    ("image", "command", "args"),
    [
        (
            "lmsysorg/sglang:v0.5.0",
            ["python3", "-m", "sglang.launch_server"],
            ["--model-path", "m", "--tp", "4"],
        ),
        ("ghcr.io/huggingface/text-generation-inference:3.3", [], ["--model-id", "m", "--num-shard", "4"]),
    ],
)
def test_other_engines_are_read(image, command, args):
    other = changed(LARGE, f"{POD}.containers.0.image", image)
    other = changed(changed(other, f"{POD}.containers.0.command", command), f"{POD}.containers.0.args", args)
    (violation,) = judge(RULE, other, POOL).violations
    assert "over 4 GPUs and gets 2" in violation


def test_a_value_of_the_environment_is_put_in_and_one_of_run_time_is_not():
    variable = with_argument(LARGE, "--tensor-parallel-size", "$(SIZE)")
    (violation,) = judge(RULE, variable, POOL).violations
    assert "tensor_parallel is $(SIZE), which only the container knows" in violation
    known = changed(variable, f"{POD}.containers.0.env", [{"name": "SIZE", "value": "2"}])
    assert judge(RULE, known, POOL).violations == []


def test_odd_types_are_violations_and_no_crash():
    assert (
        "which is no number"
        in judge(RULE, with_argument(LARGE, "--tensor-parallel-size", "two")).violations[0]
    )
    assert "expected a number" in judge(RULE, gpus(LARGE, "many")).violations[0]
    assert "expected a list" in judge(RULE, changed(LARGE, f"{POD}.containers.0.args", "--x")).violations[0]

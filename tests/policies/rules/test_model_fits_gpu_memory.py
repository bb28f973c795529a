"""GPU-001: memory of model, context and GPUs, from what is registered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.rules.model_fits_gpu_memory import RULE
from tests.policies.judging import UNKNOWN, changed, golden, judge, with_argument, without_argument

Configure = Callable[[str, object], None]

CHAT, L4 = golden("deployment-chat"), golden("nodepool-l4")
LARGE, RTX = golden("deployment-chat-large"), golden("nodepool-rtx-pro-6000")
POD = "spec.template.spec"
ARGUMENTS = f"{POD}.containers.0.args"


def test_what_the_platform_registers_passes():
    assert judge(RULE, CHAT, L4, LARGE, RTX, golden("deployment-gateway")).violations == []


def test_a_model_that_is_too_large_for_its_gpus():
    # 67.7 GiB of weights on one L4 of 22.
    large = changed(CHAT, f"{ARGUMENTS}.0", "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic")
    (violation,) = judge(RULE, large, L4).violations
    assert violation.startswith("Deployment/inference/chat: container engine: RedHatAI/Llama-3.3-70B")
    assert "does not fit on 1 x nvidia-l4" in violation


def test_a_context_that_is_too_long_for_the_pool():
    # Qwen3-8B in bf16: 15.3 GiB of weights leave an L4 about 22,000 tokens (gpu.md §2.4).
    unquantised = without_argument(CHAT, "--quantization")
    assert judge(RULE, with_argument(unquantised, "--max-model-len", "8192"), L4).violations == []
    (violation,) = judge(RULE, with_argument(unquantised, "--max-model-len", "40960"), L4).violations
    assert "40960" in violation.replace(",", "")


def test_without_max_model_len_the_models_own_counts_and_auto_takes_what_is_left():
    plain = changed(CHAT, ARGUMENTS, ["Qwen/Qwen3-8B"])
    assert len(judge(RULE, plain, L4).violations) == 1
    assert (
        judge(RULE, changed(CHAT, ARGUMENTS, ["Qwen/Qwen3-8B", "--max-model-len", "auto"]), L4).violations
        == []
    )


def test_every_accelerator_that_may_be_bought_must_do():
    both = changed(L4, "spec.template.spec.requirements.0.values", ["g6.2xlarge", "g4dn.xlarge"])
    violations = judge(RULE, with_argument(CHAT, "--max-model-len", "32768"), both).violations
    assert violations
    assert all("nvidia-t4" in violation for violation in violations)


def test_a_plain_deployment_is_judged_by_its_own_labels():
    selected = changed(LARGE, f"{POD}.nodeSelector", {"cloud.google.com/gke-accelerator": "nvidia-l4"})
    (violation,) = judge(RULE, selected).violations
    assert "does not fit on 2 x nvidia-l4" in violation


@pytest.mark.parametrize(("machine", "fits"), [("g2-standard-8", True), ("g4dn.xlarge", False)])
def test_a_pool_that_karpenter_does_not_fill_is_what_the_stack_file_says(
    configure: Configure, machine: str, fits: bool
):
    configure("node_pools", [{"name": "l4", "machine_types": [machine], "max_nodes": 2}])
    assert (judge(RULE, CHAT).violations == []) is fits


@pytest.mark.parametrize(
    "section",
    [
        "l4",
        {"l4": "g2-standard-8"},
        [{"name": "l4"}],
        [{"name": "l4", "machine_types": ["none.such"]}],
        [{"name": "other", "machine_types": ["g2-standard-8"]}],
    ],
)
def test_a_pool_that_nothing_describes(configure: Configure, section: object):
    configure("node_pools", section)
    (violation,) = judge(RULE, CHAT).violations
    assert "leads to no kind of GPU" in violation


def test_a_registered_pool_counts_before_the_stack_file(configure: Configure):
    configure("node_pools", [{"name": "l4", "machine_types": ["g4dn.xlarge"]}])
    assert judge(RULE, CHAT, L4).violations == []


def test_staged_weights_are_the_model_that_the_pod_names():
    staged = changed(CHAT, f"{ARGUMENTS}.0", "/weights/model")
    annotations = "spec.template.metadata.annotations"
    small = changed(staged, annotations, {"inference.llm-platform/model": "Qwen/Qwen3-8B"})
    assert judge(RULE, small, L4).violations == []
    large = changed(
        staged, annotations, {"inference.llm-platform/model": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}
    )
    (violation,) = judge(RULE, large, L4).violations
    assert "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic does not fit on 1 x nvidia-l4" in violation


def test_nobody_knows_the_model_until_its_row_is_named():
    own = changed(CHAT, f"{ARGUMENTS}.0", "/models/our-chat")
    (violation,) = judge(RULE, own, L4).violations
    assert 'nobody knows whether "/models/our-chat" fits' in violation
    assert (
        judge(RULE, own, L4, config={"model_names": {"/models/our-chat": "Qwen/Qwen3-8B"}}).violations == []
    )


def test_nobody_knows_the_accelerator():
    (violation,) = judge(RULE, changed(CHAT, f"{POD}.nodeSelector", {"disk": "fast"})).violations
    assert "leads to no kind of GPU" in violation


def test_containers_that_are_no_engine_are_left_alone():
    assert judge(RULE, changed(CHAT, f"{POD}.containers.0.image", "nginx:1"), L4).violations == []


def test_an_unknown_argument_leaves_the_rule_unjudged_and_says_so():
    judged = judge(
        RULE,
        changed(CHAT, f"{ARGUMENTS}.0", UNKNOWN),
        L4,
        with_argument(LARGE, "--max-model-len", "9" * 7),
        RTX,
    )
    assert judged.unjudged is not None
    assert "Deployment/inference/chat" in judged.unjudged
    assert len(judged.violations) == 1


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--quantization", "no-such-method"),
        ("--kv-cache-dtype", "no-such-type"),
        ("--gpu-memory-utilization", "5"),
        ("--tensor-parallel-size", "3"),
    ],
)
def test_what_the_engine_would_refuse_does_not_fit(flag, value):
    (violation,) = judge(RULE, with_argument(CHAT, flag, value), L4).violations
    assert value in violation.partition("does not fit")[2]


@pytest.mark.parametrize("value", ["long", "1e", "", "nan", "inf", "0", "-2", "2.5"])
def test_odd_values_are_violations_and_no_crash(value):
    (violation,) = judge(RULE, with_argument(CHAT, "--max-model-len", value), L4).violations
    assert "which is no " in violation


@pytest.mark.parametrize(
    ("image", "arguments"),
    [
        ("lmsysorg/sglang:v0.5.3", ["python3", "-m", "sglang.launch_server", "--model-path"]),
        ("ghcr.io/huggingface/text-generation-inference:3.3.4", ["--model-id"]),
        ("example.com/own:1", ["python", "-m", "vllm.entrypoints.openai.api_server", "--model"]),
    ],
)
def test_other_engines_and_other_ways_to_start_vllm(image, arguments):
    other = changed(CHAT, f"{POD}.containers.0.image", image)
    fits = changed(other, ARGUMENTS, [*arguments, "Qwen/Qwen3-0.6B"])
    assert judge(RULE, fits, L4).violations == []
    large = changed(other, ARGUMENTS, [*arguments, "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"])
    assert len(judge(RULE, large, L4).violations) == 1


def test_room_for_adapters_counts():
    def found(*words: str) -> list[str]:
        plain = ["Qwen/Qwen3-8B", "--quantization", "fp8", "--max-model-len", "16384"]
        return judge(RULE, changed(CHAT, ARGUMENTS, [*plain, *words]), L4).violations

    room = ("--max-loras", "32", "--max-lora-rank", "64")
    assert found() == []
    assert found("--enable-lora") == []
    assert found(*room) == []  # the engine reads neither without --enable-lora
    (violation,) = found(*room, "--enable-lora")
    assert "kept for 32 adapters of rank 64" in violation


def test_more_sequences_than_a_recurrent_model_has_blocks_for():
    plain = ["Qwen/Qwen3.5-4B", "--max-model-len", "32768"]
    assert judge(RULE, changed(CHAT, ARGUMENTS, plain), L4).violations == []  # an L4 defaults to 256
    many = [*plain, "--max-num-seqs", "1024"]
    (violation,) = judge(RULE, changed(CHAT, ARGUMENTS, many), L4).violations
    assert "max_num_seqs 1024 is more than the 5" in violation
    assert judge(RULE, changed(CHAT, ARGUMENTS, [*many, "--enforce-eager"]), L4).violations == []


def test_the_default_of_a_large_gpu_may_be_too_many():
    h100 = changed(L4, "spec.template.spec.requirements.0.values", ["p5.4xlarge"])
    plain = ["Qwen/Qwen3.5-27B", "--max-model-len", "32768", "--gpu-memory-utilization", "0.9"]
    (violation,) = judge(RULE, changed(CHAT, ARGUMENTS, plain), h100).violations
    assert "max_num_seqs 1024 is more than the" in violation
    assert judge(RULE, changed(CHAT, ARGUMENTS, [*plain, "--max-num-seqs", "64"]), h100).violations == []

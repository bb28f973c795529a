"""SUP-002-ADVICE: engines in maintenance mode."""

from __future__ import annotations

from policies.rules.engines_still_maintained import RULE
from tests.policies.judging import changed, golden, judge

CHAT = golden("deployment-chat")
IMAGE = "spec.template.spec.containers.0.image"


def test_tgi_in_any_version_is_worth_a_note():
    for tag in ("3.3.7", "latest", "99.0"):
        image = f"ghcr.io/huggingface/text-generation-inference:{tag}"
        (violation,) = judge(RULE, changed(CHAT, IMAGE, image)).violations
        assert "maintenance mode since 2025-12-11" in violation


def test_maintained_engines_and_other_containers_pass():
    for image in ("vllm/vllm-openai:v0.32.0", "lmsysorg/sglang:v0.5", "python:3.13"):
        assert judge(RULE, changed(CHAT, IMAGE, image)).violations == []

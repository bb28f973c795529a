"""SUP-001: digests, registries, and images that may go without a digest until a day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from policies.rules.images_pinned_by_digest import RULE, Sup001Settings
from serving.images.pinned import IMAGES
from tests.policies.judging import UNKNOWN, changed, golden, judge

CHAT = golden("deployment-chat")
POD = "spec.template.spec"
IMAGE = f"{POD}.containers.0.image"
DIGEST = f"sha256:{'0a' * 32}"
PINNED = f"vllm/vllm-openai:v0.32.0@{DIGEST}"
REASON = "the registry cannot be reached from here"


def running(image: object) -> dict[str, object]:
    return changed(CHAT, IMAGE, image)


@pytest.mark.parametrize("name", ["deployment-chat", "deployment-gateway", "job-verify"])
def test_what_the_platform_registers_passes(name):
    assert judge(RULE, golden(name)).violations == []


@pytest.mark.parametrize(
    "image", [PINNED, f"docker.io/library/python@{DIGEST}", f"registry.k8s.io/pause:3.10.1@{DIGEST}"]
)
def test_a_digest_from_a_known_registry_passes(image):
    assert judge(RULE, running(image)).violations == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("vllm/vllm-openai:v0.31.0", "pinned by no digest"),
        ("vllm/vllm-openai", "pinned by no digest"),
        ("vllm/vllm-openai:v0.32.0@sha256:0a", "pinned by no digest"),
        (f"registry.example/vllm@{DIGEST}", "none of the registries docker.io, ghcr.io"),
        (f"docker.io.example/vllm/vllm-openai@{DIGEST}", "from docker.io.example, which is none"),
        ("", "names no image"),
        (None, "names no image"),
    ],
)
def test_anything_else_is_a_violation(image, said):
    (violation,) = judge(RULE, running(image)).violations
    assert violation.startswith("Deployment/inference/chat: container engine ")
    assert said in violation


def test_containers_that_run_first_and_volumes_that_are_images_count_too():
    first = changed(CHAT, f"{POD}.initContainers", [{"name": "fetch", "image": "rclone/rclone:latest"}])
    (violation,) = judge(RULE, first).violations
    assert "container fetch runs rclone/rclone:latest" in violation
    volumes = [{"name": "weights", "image": {"reference": "ghcr.io/example/weights:1"}}]
    (violation,) = judge(RULE, changed(CHAT, f"{POD}.volumes", volumes)).violations
    assert "volume weights runs ghcr.io/example/weights:1" in violation


def test_an_image_that_is_not_known_yet_excuses_no_other():
    containers = [{"name": "first", "image": UNKNOWN}, {"name": "second", "image": "python"}]
    judged = judge(RULE, changed(CHAT, f"{POD}.containers", containers))
    assert judged.unjudged is not None
    (violation,) = judged.violations
    assert "container second" in violation


def test_registries_of_your_own():
    mirror = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/mirror/vllm@{DIGEST}"
    assert judge(RULE, running(mirror)).violations
    for registry in ("123456789012.dkr.ecr.us-east-1.amazonaws.com", mirror.partition("/vllm")[0]):
        assert judge(RULE, running(mirror), config={"registries": [registry]}).violations == []
    assert judge(RULE, running(mirror), config={"registries": [f"{mirror[:50]}"]}).violations


@pytest.mark.parametrize(("days", "accepted"), [(0, True), (1, True), (-1, False)])
def test_an_image_may_go_without_a_digest_until_a_day(days, accepted):
    last = (date.today() + timedelta(days)).isoformat()
    entry = {"image": "python:3", "reason": REASON, "expires": last}
    violations = judge(RULE, running("python:3"), config={"unpinned": [entry]}).violations
    if accepted:
        assert violations == []
    else:
        (violation,) = violations
        assert f"accepted until {last} ({REASON})" in violation
        assert "make pin-images" in violation
    assert judge(RULE, running("python:3.1"), config={"unpinned": [entry]}).violations


def test_the_table_s_own_waivers_are_the_default():
    waived = {row.reference for row in IMAGES.values() if row.waiver is not None}
    assert {entry.image for entry in Sup001Settings().unpinned} == waived
    for reference in waived:
        assert judge(RULE, running(reference)).violations == []
        assert judge(RULE, running(reference), config={"unpinned": []}).violations

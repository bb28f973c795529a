"""SUP-002: the oldest version of an engine that may run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine_versions import MINIMUM_VERSIONS, engine_version, too_old
from policies.rules.engines_without_known_vulnerabilities import RULE
from tests.policies.judging import changed, golden, judge

CHAT = golden("deployment-chat")
IMAGE = "spec.template.spec.containers.0.image"
TRITON = "nvcr.io/nvidia/tritonserver"


def violations(image: str, config: dict[str, object] | None = None) -> list[str]:
    return judge(RULE, changed(CHAT, IMAGE, image), config=config).violations


@pytest.mark.parametrize(
    "image",
    [
        "vllm/vllm-openai:v0.32.0",
        "vllm/vllm-openai:v0.32.0-cu130",
        "vllm/vllm-openai:v0.32.0.post1",
        "mirror.example/vllm/vllm-openai:v0.33.0@sha256:0",
        "vllm/vllm-openai:v1.0.0",
        f"{TRITON}:26.07-vllm-python-py3",
        f"{TRITON}:27.01-py3",
    ],
)
def test_new_enough(image):
    assert violations(image) == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("vllm/vllm-openai:v0.31.9", "vllm is v0.31.9, older than 0.32.0: CVE-2026-115911"),
        ("vllm/vllm-openai:v0.9.0", "older than 0.32.0"),
        ("vllm/vllm-openai:v0.32.0rc1", "older than 0.32.0"),
        ("vllm/vllm-openai:latest", "says no version (latest)"),
        ("vllm/vllm-openai", "says no version (no tag)"),
        ("vllm/vllm-openai@sha256:0", "says no version (no tag)"),
        (f"{TRITON}:26.06-py3", "triton is 26.06-py3, older than 26.07.0: CVE-2026-24207"),
        (f"{TRITON}:25.12-trtllm-python-py3", "older than 26.07.0"),
    ],
)
def test_too_old_or_unknown(image, said):
    (violation,) = violations(image)
    assert said in violation


def test_what_is_no_engine_or_has_no_minimum_passes():
    assert violations("lmsysorg/sglang:v0.1") == violations("python:3.13") == []
    assert judge(RULE, golden("deployment-gateway")).violations == []


def test_tags_of_your_own_builds():
    image = "mirror.example/vllm/vllm-openai:ours-7"
    assert violations(image)
    assert violations(image, {"tags": {"ours-7": "0.33.0"}}) == []
    assert violations(image, {"tags": {"ours-7": "0.30.0"}})


@given(
    st.lists(st.integers(0, 99), min_size=3, max_size=3), st.lists(st.integers(0, 99), min_size=3, max_size=3)
)
def test_versions_compare_as_numbers(first, second):
    ours, other = (engine_version("v" + ".".join(map(str, numbers))) for numbers in (first, second))
    assert ours is not None
    assert other is not None
    assert (ours < other) == (first < second)


@given(st.text(max_size=12))
def test_any_tag_is_judged(tag):
    for engine in (*MINIMUM_VERSIONS, "another"):
        assert too_old(engine, tag) is None or engine in MINIMUM_VERSIONS

"""SUP-003: one commit of a model, and no pickles."""

from __future__ import annotations

import pytest

from policies.rules.models_pinned_without_code import RULE
from tests.policies.judging import changed, golden, judge

CHAT = golden("deployment-chat")
ARGS = "spec.template.spec.containers.0.args"
COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"


def violations(*arguments: str, image: str | None = None) -> list[str]:
    manifest = changed(CHAT, ARGS, list(arguments))
    if image is not None:
        manifest = changed(manifest, "spec.template.spec.containers.0.image", image)
    return judge(RULE, manifest).violations


@pytest.mark.parametrize("name", ["deployment-chat", "deployment-chat-large", "deployment-gateway"])
def test_what_the_platform_registers_passes(name):
    assert judge(RULE, golden(name)).violations == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("Qwen/Qwen3-8B", "--revision", COMMIT),
        ("--model=Qwen/Qwen3-8B", f"--revision={COMMIT}"),
        ("/weights/model",),
        ("/weights/model", "--load-format", "safetensors"),
        ("/weights/model", "--tokenizer", "/weights/tokenizer"),
        ("/weights/model", "--speculative-config", '{"method": "ngram", "model": "ngram"}'),
        ("/weights/model", "--speculative-config", '{"method": "mtp", "num_speculative_tokens": 1}'),
        ("/weights/model", "--speculative-config", f'{{"model": "a/b", "revision": "{COMMIT}"}}'),
        ("a/b", "--revision", COMMIT, "--tokenizer", "c/d", "--tokenizer-revision", COMMIT),
    ],
)
def test_pinned(arguments):
    assert violations(*arguments) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Qwen/Qwen3-8B",), "whatever its main branch holds today: give --revision a commit"),
        (("Qwen/Qwen3-8B", "--revision", "main"), "pinned to main, which can be moved"),
        (("Qwen/Qwen3-8B", "--revision", COMMIT[:7]), "can be moved"),
        (("s3://bucket/model",), "has no revision: stage it onto a volume"),
        (("/w", "--tokenizer", "a/b"), "the tokenizer a/b is whatever its main branch"),
        (("/w", "--speculative-config", '{"model": "a/b"}'), "the draft model a/b is whatever"),
        (("/w", "--speculative-config", "{"), "which is no JSON: give a literal value"),
        (("/w", "--load-format", "pt"), "reads pickled weights"),
        (("/w", "--load-format=NPCACHE"), "reads pickled weights"),
    ],
)
def test_movable_or_pickled(arguments, said):
    (violation,) = violations(*arguments)
    assert violation.startswith("Deployment/inference/chat: container engine: ")
    assert said in violation


def test_other_engines():
    sglang = "lmsysorg/sglang:v0.5"
    assert violations("--model-path", "a/b", image=sglang)
    assert violations("--model-path", "a/b", "--revision", COMMIT, image=sglang) == []
    tgi = "ghcr.io/huggingface/text-generation-inference:3.3.7"
    assert violations("--model-id", "a/b", image=tgi)
    assert violations("--model-id", "a/b", "--revision", COMMIT, image=tgi) == []
    assert violations("a/b", image="python:3.13") == []

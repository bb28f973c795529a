"""What looks like a credential is found wherever it is, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials import HIDDEN, SHAPES, credential_in, credentials
from tests.stacks.program.renderings import RENDERINGS

ROOT = Path(__file__).resolve().parent.parent.parent

EXAMPLES = {
    "hugging_face_token": r"hf_[A-Za-z]{34}",
    "api_key_of_a_model_provider": r"(?a:sk-([A-Za-z0-9]{32,48}|proj-[\w-]{40,100}|ant-api03-[\w-]{93}AA))",
    "json_web_token": r"eyJhbGciOiJFUzI1NiIs[A-Za-z0-9_-]{20}\.eyJ[A-Za-z0-9_-]{40,90}\.[A-Za-z0-9_-]{86}",
    "private_key": r"-----BEGIN (EC |RSA |OPENSSH |ENCRYPTED |)PRIVATE KEY-----\n[A-Za-z0-9+/]{64}\n",
    "private_json_web_key": r'\{"kty":"EC","crv":"P-256","d":"[A-Za-z0-9_-]{43}","x":"[A-Za-z0-9_-]{43}"\}',
    "aws_access_key": r"(AKIA|ASIA)[A-Z2-7]{16}",
    "aws_secret_key": r"(aws_secret_access_key ?= ?|secretKey: )[A-Za-z0-9/+]{40}",
    "google_api_key": r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{60}|GOCSPX-[A-Za-z0-9_-]{28}",
    "azure_secret": (
        r"AccountKey=[A-Za-z0-9+/]{86}==|\?sv=2024&sig=[A-Za-z0-9%]{43,60}|[A-Za-z0-9]{3}8Q~[A-Za-z0-9_~.-]{33}"
    ),
    "github_token": r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "gitlab_token": r"glpat-[A-Za-z0-9_-]{20}",
    "slack_secret": r"xoxb-[0-9]{12}-[0-9]{12}-[A-Za-z0-9]{24}|https://hooks\.slack\.com/services/T[A-Z0-9]{8}/B[A-Z0-9]{8}/[a-z]{24}",
    "pulumi_token": r"pul-[0-9a-f]{40}",
    "vault_token": r"hvs\.[A-Za-z0-9_-]{90}",
    "nvidia_key": r"nvapi-[A-Za-z0-9_-]{64}",
    "registry_token": r"dckr_pat_[A-Za-z0-9_-]{27}|npm_[A-Za-z0-9]{36}|pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70}",
    "service_token": (
        r"dapi[0-9a-f]{32}|glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|gsk_[A-Za-z0-9]{52}|r8_[A-Za-z0-9]{37}"
    ),
    "password_in_an_address": r"(https|postgres)://[a-z]{1,8}:[A-Za-z0-9!*]{1,20}@[a-z]{3,9}\.example\.com/",
    "authorization_header": r"Authorization: (Bearer|Basic) [A-Za-z0-9._~+/-]{20,60}",
    "named_credential": r"(HF_TOKEN|VLLM_API_KEY|AWS_SESSION_TOKEN)=[A-Za-z0-9]{1,30}",
}
"""What each kind looks like, as its issuer makes it: written apart from the shapes that must find it."""

KINDS = st.sampled_from(sorted(EXAMPLES))
TOKENS = KINDS.flatmap(lambda kind: st.from_regex(EXAMPLES[kind], fullmatch=True))
HARMLESS_TEXT = st.text("abcdefghijklmnop ,.", max_size=20)

HARMLESS = (
    "b968826d9c46dd6066d109eabc6255188de91218",
    f"vllm/vllm-openai:v0.32.0@sha256:{'0123456789abcdef' * 4}",
    "v1:3OiLF4SU2jA=:v1:Nh6zHiQLff4838Q6:nE0OEOmwcWMEFwdTVuuYbpAY2d6ilg==",
    "sk-learn-pipeline-for-classification-of-documents",
    "task-0123456789abcdefghijklmnopqrstuvwxyz",
    "hf_overrides_of_the_model_configuration",
    "https://huggingface.co/Qwen/Qwen3-8B@main",
    "http://prometheus:9090/api/v1/query?query=up@1",
    "postgres://$(USER):$(PASSWORD)@database.example.com/",
    "s3://bucket/models/chat:v1/",
    "--api-key-file=/run/secrets/key",
    "HF_TOKEN=$(TOKEN)",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    '{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN"}]}',
    "Authorization: Bearer $OPENAI_API_KEY",
    "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "tokenizer_mode=mistral",
)


def test_every_shape_has_an_example_and_reads_as_a_noun():
    assert set(EXAMPLES) == set(SHAPES)
    for shape in SHAPES.values():
        assert shape.called.startswith(("a ", "an "))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_kind_is_told_by_its_own_shape(kind):
    @given(st.from_regex(EXAMPLES[kind], fullmatch=True), HARMLESS_TEXT, HARMLESS_TEXT)
    def check(token: str, before: str, after: str) -> None:
        assert SHAPES[kind].is_in(token)
        assert SHAPES[kind].is_in(f"{before} {token} {after}")
        quoted = json.dumps({"document": f"{before}\n{token}\n"})
        assert credential_in(quoted)
        assert credential_in(json.dumps([quoted]))

    check()


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_credential_is_left_alone(text):
    assert list(credentials({"value": text, text: [text]})) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | HARMLESS_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_ordinary_values_have_none(value):
    assert list(credentials(value)) == []


@given(
    token=TOKENS,
    way=st.lists(st.sampled_from(["a", "b", 0, 1]), max_size=5),
    beside=VALUES,
    as_key=st.booleans(),
)
def test_a_credential_is_found_with_its_place_however_deep_and_never_shown(token, way, beside, as_key):
    value: Any = {token: beside} if as_key else token
    for step in reversed(way):
        value = {step: value, "other": beside} if isinstance(step, str) else [*[beside] * step, value]
    (found,) = credentials(value)
    assert found.place == (tuple(way) + ((HIDDEN,) if as_key else ()))
    assert token not in found.path + found.called


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"env": [{"name": "HF_TOKEN", "value": "a"}]}, "env[0].value"),
        ({"args": ["serve", "--api-key", "a", "--port", "1"]}, "args[2]"),
        ({"args": ["--api-key=a"]}, "args[0]"),
        ({"VLLM_API_KEY": "a"}, "VLLM_API_KEY"),
        ({"aws_secret_access_key": "a" * 40}, "aws_secret_access_key"),
        ({"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub-token"}}}]}, None),
        ({"env": [{"name": "HF_TOKEN_PATH", "value": "/run/secrets/token"}]}, None),
        ({"args": ["--api-key", "$(KEY)"]}, None),
    ],
)
def test_some_are_told_by_the_name_beside_them(value, path):
    assert [found.path for found in credentials(value)] == ([] if path is None else [path])


def test_a_credential_as_a_key_of_another_is_not_shown_with_it():
    first, second = f"hf_{'a' * 34}", f"ghp_{'b' * 36}"
    assert [found.path for found in credentials({"x": {first: {"y": second}}})] == [
        f"x.{HIDDEN}",
        f"x.{HIDDEN}.y",
    ]


def test_every_stack_file_has_none():
    files = [*(ROOT / "stacks").glob("*.yaml")]
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert list(credentials(text)) == [], file
        assert list(credentials(yaml.safe_load(text))) == [], file


@pytest.mark.parametrize("name", RENDERINGS)
def test_everything_that_a_program_registers_has_none(tmp_path: Path, name: str):
    for resource in RENDERINGS[name](tmp_path):
        if resource.inputs.get("kind") != "Secret":
            assert list(credentials(resource.inputs)) == [], resource.urn


def test_long_texts_take_no_time():
    # Runs of characters that patterns begin with: quadratic searching would take minutes.
    for text in ("ey" * 200_000, "sk-" * 200_000, '"kty"' + '"d":' * 50_000, "://" + "a:" * 200_000):
        assert credential_in(text) is None

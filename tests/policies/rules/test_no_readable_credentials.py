"""SEC-009: credentials wherever a resource may hold them, and Secrets that are secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.rules.no_readable_credentials import RULE
from tests.policies.judging import GOLDEN, UNKNOWN, changed, golden, judge, secret
from tests.policies.test_credentials import TOKENS

CHAT = golden("deployment-chat")
CONTAINER = "spec.template.spec.containers.0"
TOKEN = f"hf_{'aB' * 17}"
SECRET = {
    "kind": "Secret",
    "apiVersion": "v1",
    "metadata": {"name": "verify", "namespace": "inference"},
    "type": "Opaque",
}
CONFIG_MAP = {
    "kind": "ConfigMap",
    "apiVersion": "v1",
    "metadata": {"name": "files", "namespace": "inference"},
    "data": {"gateway.yaml": "static_resources: {}\n"},
}

PLACES = {
    "argument": lambda token: changed(CHAT, f"{CONTAINER}.args.0", token),
    "argument of a shell": lambda token: changed(
        CHAT, f"{CONTAINER}.args", ["-c", f"exec serve --key '{token}'"]
    ),
    "command": lambda token: changed(CHAT, f"{CONTAINER}.command", ["serve", token]),
    "environment": lambda token: changed(CHAT, f"{CONTAINER}.env.0.value", token),
    "init container": lambda token: changed(CHAT, "spec.template.spec.initContainers", [{"args": [token]}]),
    "annotation": lambda token: changed(CHAT, "metadata.annotations", {"note": token}),
    "annotation of the pod": lambda token: changed(
        CHAT, "spec.template.metadata.annotations", {"note": token}
    ),
    "label key": lambda token: changed(CHAT, "metadata.labels", {token: ""}),
    "configuration file": lambda token: changed(CONFIG_MAP, "data", {"a.yaml": f"key: {token}\nother: 1\n"}),
    "custom resource": lambda token: changed(
        golden("scaledobject-chat"), "spec.triggers.0.metadata.query", token
    ),
    "annotation of a Secret": lambda token: changed(SECRET, "metadata.annotations", {"note": token}),
}


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_platform_registers_passes(file: Path):
    manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
    if manifest["kind"] != "Secret":
        assert judge(RULE, manifest).violations == []


@pytest.mark.parametrize("place", PLACES)
@given(token=TOKENS)
def test_a_credential_is_found_wherever_it_is_and_not_shown(place: str, token: str):
    manifest: dict[str, Any] = PLACES[place](token)
    (violation,) = judge(RULE, manifest).violations
    assert "looks like a" in violation
    assert "docs/secrets.md" in str(RULE.remediation)
    assert token not in violation


def test_a_mark_as_secret_does_not_help_where_everybody_may_read():
    manifest = changed(CHAT, f"{CONTAINER}.env.0.value", secret(TOKEN))
    (violation,) = judge(RULE, manifest).violations
    assert "Pulumi secret or not" in violation
    assert TOKEN not in violation


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_a_secret_holds_what_is_marked_and_nothing_else(field: str):
    assert judge(RULE, SECRET).violations == []
    assert judge(RULE, changed(SECRET, field, secret({"token": TOKEN}))).violations == []
    for value in ({"token": TOKEN}, {"token": "anything"}, {"token": secret("one"), "other": "two"}):
        (violation,) = judge(RULE, changed(SECRET, field, value)).violations
        assert violation.startswith(f"Secret/inference/verify: {field} is no Pulumi secret")
        assert TOKEN not in violation


def test_every_value_of_a_secret_may_carry_its_own_mark():
    assert (
        judge(RULE, changed(SECRET, "stringData", {"a": secret("one"), "b": secret("two")})).violations == []
    )


def test_a_value_that_is_not_known_yet_excuses_no_other():
    environment = [{"name": "A", "value": UNKNOWN}, {"name": "B", "value": TOKEN}]
    judged = judge(RULE, changed(CHAT, f"{CONTAINER}.env", environment))
    assert len(judged.violations) == 1
    assert judged.unjudged is not None
    assert "env.0.value" in judged.unjudged


@given(st.dictionaries(st.text(max_size=8), st.text("abc-_:/. 0123456789", max_size=40), max_size=4))
def test_ordinary_configuration_passes(data):
    assert judge(RULE, changed(CONFIG_MAP, "data", data)).violations == []

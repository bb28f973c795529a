"""What the Job tells its program arrives, and what it does not tell is one line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from serving.verify.verifier.failed import Failed
from serving.verify.verifier.settings import Settings, read, variables
from tests.serving.verify.imitations import CHAT, NOBODY, SERVICE
from tests.serving.verify.scaled_model import MODEL

SETTINGS = Settings("http://gateway", SERVICE, NOBODY, (CHAT, replace(MODEL, task="embed")), "/token", 120)


def test_what_is_written_is_read():
    assert read(variables(SETTINGS)) == SETTINGS


@pytest.mark.parametrize("name", variables(SETTINGS))
def test_a_missing_variable_is_named(name: str):
    told = variables(SETTINGS)
    del told[name]
    with pytest.raises(Failed, match=name):
        read(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VERIFY_SECONDS", "soon"),
        ("VERIFY_SERVICE", "gateway"),
        ("VERIFY_SERVICE", json.dumps({"name": "gateway"})),
        ("VERIFY_MODELS", json.dumps([{"name": "chat"}])),
        ("VERIFY_MODELS", json.dumps([7])),
    ],
)
def test_a_damaged_variable_is_refused(name: str, value: str):
    with pytest.raises(Failed, match=r"^the variables VERIFY_\.\.\. are not those that"):
        read({**variables(SETTINGS), name: value})

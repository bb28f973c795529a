"""Names that clients send, canaries and fallbacks: whatever is ambiguous is one line of error."""

from typing import Any

import pytest

from stacks.load import parse
from tests.stacks.environments import local_values
from tests.stacks.test_bad_input import problems

OTHER = "0123456789abcdef0123456789abcdef01234567"


def with_model(**changes: Any) -> dict[str, Any]:
    values = local_values()
    values["models"][0].update(changes)
    return values


def adapter(name: str) -> dict[str, Any]:
    return {"name": name, "source": "example/adapter", "revision": OTHER, "rank": 16}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aliases": ["chat-large"]}, ["models[0].aliases[0]", "already used by models[1].name"]),
        ({"aliases": ["gpt", "gpt"]}, ["models[0].aliases[1]", "already used by models[0].aliases[0]"]),
        (
            {"adapters": [adapter("chat")]},
            ["models[0].adapters[0].name", "already used by models[0].name"],
        ),
        (
            {"canary": {"revision": OTHER, "weight": 5}, "aliases": ["chat-canary"]},
            ["models[0].aliases[0]", "already used by models[0].canary"],
        ),
        ({"fallback": "chat-larg"}, ["models[0].fallback", "did you mean chat-large?"]),
        ({"fallback": "chat"}, ["models[0].fallback", "is no other model of this stack"]),
        ({"canary": {"revision": OTHER, "weight": 101}}, ["models[0].canary.weight", "at most 100"]),
        (
            {"canary": {"revision": "b968826d9c46dd6066d109eabc6255188de91218", "weight": 5}},
            ["models[0].canary.revision", "is the revision of the model itself"],
        ),
        ({"revision": None}, ["models[0].revision", "required with weights hub"]),
    ],
)
def test_one_line_says_what_is_wrong(changes: dict[str, Any], expected: list[str]):
    (line,) = problems(with_model(**changes))
    assert all(part in line for part in expected), line


def test_a_canary_of_other_weights_than_the_hubs_is_refused():
    values = with_model(weights="pvc://claim/folder", canary={"revision": OTHER, "weight": 5})
    assert any("models[0].canary: not possible with weights" in line for line in problems(values))


def test_a_name_must_leave_room_for_its_canary():
    values = with_model(name="a" * 34, canary={"revision": OTHER, "weight": 5})
    (line,) = problems(values)
    assert "at most 33 characters" in line


def test_a_fallback_does_the_same_task_and_is_awake():
    values = with_model(fallback="chat-large")
    values["models"][1]["replicas"]["min"] = 1
    assert parse(values, origin="test").models[0].fallback == "chat-large"
    values["models"][1]["task"] = "embed"
    assert any('models[0].fallback: "chat-large" does embed' in line for line in problems(values))


def test_a_fallback_may_not_sleep():
    values = with_model(fallback="chat-large")
    values["models"][1]["replicas"]["min"] = 0
    assert any("models[0].fallback" in line and "may sleep" in line for line in problems(values))

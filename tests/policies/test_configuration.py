"""The file of levels, settings and waivers: what it says, and what is wrong with it."""

from __future__ import annotations

import json

import pytest

from policies.configuration import ConfigurationError, RuleConfiguration, read_configuration

RULES = ("GPU-001", "COST-001")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "policies.test.json"


def test_levels_and_settings(file):
    file.write_text(
        json.dumps(
            {
                "all": "advisory",
                "GPU-001": {"enforcementLevel": "mandatory"},
                "COST-001": {"usd_per_hour": 0},
            }
        )
    )
    assert read_configuration(file, RULES) == {
        "all": RuleConfiguration("advisory", {}),
        "GPU-001": RuleConfiguration("mandatory", {}),
        "COST-001": RuleConfiguration(None, {"usd_per_hour": 0}),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"GPU-01": "advisory"}', "no rule GPU-01: did you mean GPU-001?"),
        ('{"GPU-001": "maybe"}', "GPU-001.enforcementLevel: Valid: advisory, disabled, mandatory"),
        ('{"GPU-001": 3}', "GPU-001: must be a level or an object"),
        ('{"GPU-001": {"enforcementLevel": true}}', "GPU-001.enforcementLevel"),
    ],
)
def test_each_mistake_names_file_and_place(file, text, said):
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_configuration(file, RULES)
    assert str(raised.value).startswith("policies.test.json: ")
    assert said in str(raised.value)


def test_a_missing_file(file):
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_configuration(file, RULES)

"""What every rule does in the same way: waivers, settings, unknown values, several resources."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pulumi_policy import EnforcementLevel

from policies.pack import RULES
from policies.rule import Rule, settings_schema
from tests.policies.cases import CASES, Case
from tests.policies.judging import Manifest, changed, judge

ROOT = Path(__file__).resolve().parent.parent.parent
REASON = "measured on the real machine, ticket 4711"
MANDATORY = [rule for rule in RULES if rule.level is EnforcementLevel.MANDATORY]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
every_mandatory_rule = pytest.mark.parametrize("rule", MANDATORY, ids=lambda rule: rule.id)


def waiver(case: Case, expires: str) -> dict[str, object]:
    return {"waivers": [{"resource": case.identity, "reason": REASON, "expires": expires}]}


def test_every_rule_has_a_case_a_file_a_test_and_a_line_of_documentation():
    assert set(CASES) == {rule.id for rule in RULES}
    files = {path.stem for path in (ROOT / "policies" / "rules").glob("*.py")}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/policies/rules").glob("test_*.py")}
    assert files == tests
    assert len(files) == len(RULES)
    documentation = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    documented = re.findall(r'^\| <a id="[a-z0-9-]+"></a>([A-Z0-9-]+) \|', documentation, re.MULTILINE)
    assert documented == [rule.id for rule in RULES]


@every_rule
def test_compliant_passes_and_a_violation_names_its_resource(rule: Rule):
    case = CASES[rule.id]
    assert judge(rule, *case.compliant, config=case.config).violations == []
    violations = judge(rule, *case.broken, config=case.config).violations
    assert violations
    assert all(violation.startswith(f"{case.identity}: ") for violation in violations)


@every_rule
def test_a_waiver_excuses_its_resource_and_no_other(rule: Rule):
    case = CASES[rule.id]
    covered = {**case.config, **waiver(case, "9999-12-31")}
    assert judge(rule, *case.broken, config=covered).violations == []
    other = {**covered, "waivers": [{**covered["waivers"][0], "resource": "Deployment/elsewhere/*"}]}
    assert judge(rule, *case.broken, config=other).violations


@every_rule
def test_an_expired_waiver_is_a_violation_even_where_nothing_else_is_wrong(rule: Rule):
    case = CASES[rule.id]
    expired = {**case.config, **waiver(case, "2020-01-31")}
    (violation,) = judge(rule, *case.compliant, config=expired).violations
    assert violation.startswith(f"{case.identity}: its waiver expired on 2020-01-31 ({REASON})")
    broken = judge(rule, *case.broken, config=expired).violations
    assert len(broken) == 1 + len(judge(rule, *case.broken, config=case.config).violations)


@every_rule
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"waivers": [{"resource": "*", "reason": REASON}]}, "waivers.0.expires"),
        ({"waivers": [{"resource": "*", "reason": "why", "expires": "2020-01-31"}]}, "waivers.0.reason"),
        ({"waivers": "none"}, "waivers"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"unknown_values": "ignore"}, "unknown_values"),
    ],
)
def test_a_wrong_configuration_is_a_violation_and_no_crash(rule: Rule, entry, said):
    case = CASES[rule.id]
    (violation,) = judge_once(rule, case.compliant, {**case.config, **entry})
    assert violation.startswith(f"configuration of {rule.id}: {said}")


def judge_once(rule: Rule, manifests: tuple[Manifest, ...], config: dict[str, object]) -> set[str]:
    """A rule on single resources says the same about each of them."""
    return set(judge(rule, *manifests, config=config).violations)


@every_mandatory_rule
def test_an_unknown_value_is_noted_or_refused_and_never_passes_in_silence(rule: Rule):
    case = CASES[rule.id]
    judged = judge(rule, *case.unknown, config=case.config)
    assert judged.violations == []
    assert judged.unjudged is not None
    assert "can't be known during preview" in judged.unjudged
    refused = judge(rule, *case.unknown, config={**case.config, "unknown_values": "refuse"})
    assert refused.unjudged is None
    assert refused.violations
    assert all("can't be known during preview" in violation for violation in refused.violations)


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule.id in CASES and CASES[rule.id].repeatable],
    ids=lambda rule: rule.id,
)
def test_each_of_several_resources_is_reported(rule: Rule):
    case = CASES[rule.id]
    name = case.identity.rpartition("/")[2]
    copies = [
        changed(manifest, "metadata.name", "second")
        for manifest in case.broken
        if manifest["metadata"]["name"] == name
    ]
    violations = judge(rule, *case.broken, *copies, config=case.config).violations
    identities = {violation.partition(": ")[0] for violation in violations}
    assert identities == {case.identity, case.identity.removesuffix(name) + "second"}


@every_rule
def test_metadata_is_complete_and_the_schema_stands_alone(rule: Rule):
    policy = rule.policy()
    assert policy.remediation_steps
    assert policy.severity is not None
    assert policy.url == f"docs/policies.md#{rule.id.lower()}"
    schema = settings_schema(rule.settings)
    assert "$ref" not in json.dumps(schema)
    assert {"waivers", "unknown_values"} <= set(schema)
    assert all("default" in setting and "description" in setting for setting in schema.values())


def test_the_pack_imports_nothing_that_registers_or_reads_a_stack():
    for path in (ROOT / "policies").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^(from|import) (stacks|local|dashboards|pulumi_kubernetes)\b", text, re.MULTILINE
        ), path

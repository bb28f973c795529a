"""SEC-005: settings of engines that open the door to code."""

from __future__ import annotations

import pytest

from policies.rules.engines_run_no_foreign_code import FLAGS, RULE, VARIABLES
from tests.policies.judging import changed, golden, judge

CHAT = golden("deployment-chat")
CONTAINER = "spec.template.spec.containers.0"


def with_variable(**variable: object) -> list[str]:
    return judge(RULE, changed(CHAT, f"{CONTAINER}.env", [variable])).violations


@pytest.mark.parametrize(
    "name", ["deployment-chat", "deployment-chat-large", "deployment-gateway", "job-verify"]
)
def test_what_the_platform_registers_passes(name):
    assert judge(RULE, golden(name)).violations == []


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("spelling", ["{}", "{}=true"])
def test_each_flag_in_each_spelling(flag, spelling):
    for word in (flag, "--" + flag[2:].replace("-", "_")):
        spoilt = changed(CHAT, f"{CONTAINER}.args.1", spelling.format(word))
        (violation,) = judge(RULE, spoilt).violations
        assert flag in violation
        assert FLAGS[flag] in violation


def test_a_flag_in_a_shell_script_and_one_that_is_off():
    script = changed(CHAT, f"{CONTAINER}.command", ["sh", "-c", "vllm serve model --trust-remote-code"])
    assert len(judge(RULE, script).violations) == 1
    off = changed(CHAT, f"{CONTAINER}.args.1", "--trust-remote-code=false")
    assert judge(RULE, off).violations == []


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable(name):
    (violation,) = with_variable(name=name, value="1")
    assert VARIABLES[name] in violation
    assert with_variable(name=name, value="0") == []
    assert len(with_variable(name=name, valueFrom={"configMapKeyRef": {"name": "a", "key": "b"}})) == 1


def test_what_is_allowed_by_settings():
    spoilt = changed(CHAT, f"{CONTAINER}.args.1", "--trust-remote-code")
    assert judge(RULE, spoilt, config={"allowed": ["--trust-remote-code"]}).violations == []


def test_the_same_word_of_another_program():
    other = changed(golden("job-verify"), f"{CONTAINER}.args", ["--trust-remote-code"])
    assert judge(RULE, other).violations == []

"""The real pack in its own process: the whole local stack before it, as it is and broken."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policies import process
from policies.configuration import RuleConfiguration
from policies.objects import STACK_TYPE
from policies.pack import RULES
from policies.process import Pack, PackFailure, Subject, running_pack
from stacks import program
from tests.recording import record
from tests.stacks.environments import stack_on

BUDGET = {"llm-platform:budget": '{"monthly_usd": 25000}'}
"""Above what both node pools of the local stack may reach: 30.7 $/h."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    """Everything that the local stack registers."""
    stack = stack_on(tmp_path_factory.mktemp("local") / "kubeconfig")
    recording = record(lambda: program.export(program.build(stack)))
    return [Subject(item.type, item.name, item.urn, item.parent, item.inputs) for item in recording]


@pytest.fixture(scope="module")
def running() -> Iterator[Pack]:
    with running_pack(BUDGET, stack="local", project="llm-platform") as pack:
        yield pack


@pytest.fixture
def pack(running: Pack) -> Pack:
    running.configure({})
    return running


def broken(subjects: list[Subject], name: str, kind: str, change: Callable[[Any], object]) -> list[Subject]:
    """The stack with `change` made to the spec of one object."""

    def is_meant(subject: Subject) -> bool:
        metadata = subject.properties.get("metadata", {})
        return subject.properties.get("kind") == kind and metadata.get("name") == name

    assert any(is_meant(subject) for subject in subjects)
    result = []
    for subject in subjects:
        if is_meant(subject):
            properties = copy.deepcopy(dict(subject.properties))
            change(properties["spec"])
            subject = replace(subject, properties=properties)
        result.append(subject)
    return result


def container(spec: Any) -> Any:
    return spec["template"]["spec"]["containers"][0]


def mandatory(pack: Pack, subjects: list[Subject]) -> set[str]:
    return {finding.rule for finding in pack.judge(subjects) if finding.level == "mandatory"}


def test_the_pack_says_what_its_rules_are(pack):
    assert list(pack.rules) == [rule.id for rule in RULES]
    assert {facts.level for facts in pack.rules.values()} == {"mandatory", "advisory"}
    assert pack.rules["GPU-001"].severity == "critical"
    assert pack.rules["GPU-001"].url == "docs/policies.md#gpu-001"


def test_the_whole_local_stack_passes(pack, local):
    assert mandatory(pack, local) == set()


@pytest.mark.parametrize(
    ("rule", "kind", "name", "change"),
    [
        (
            "GPU-001",
            "Deployment",
            "chat",
            lambda spec: container(spec)["args"].extend(["--max-model-len", "1M"]),
        ),
        (
            "GPU-002",
            "Deployment",
            "chat-large",
            lambda spec: container(spec)["args"].extend(["--pipeline-parallel-size", "2"]),
        ),
        ("GPU-010", "NodePool", "l4", lambda spec: spec["template"]["spec"].pop("taints")),
        ("REL-003", "PodDisruptionBudget", "gateway", lambda spec: spec.update(maxUnavailable=0)),
        ("SEC-004", "Deployment", "gateway", lambda spec: spec["template"]["spec"].update(hostNetwork=True)),
        (
            "SEC-009",
            "Deployment",
            "chat",
            lambda spec: container(spec)["env"].append({"name": "A", "value": f"hf_{'aB' * 17}"}),
        ),
        (
            "SUP-001",
            "Deployment",
            "gateway",
            lambda spec: container(spec).update(image="envoyproxy/envoy:dev"),
        ),
        (
            "SUP-003",
            "Deployment",
            "chat",
            lambda spec: container(spec)["args"].extend(["--load-format", "pt"]),
        ),
        ("COST-001", "NodePool", "l4", lambda spec: spec.update(limits={"nodes": 90})),
    ],
)
def test_each_rule_is_broken_by_one_change_and_no_other_rule_with_it(pack, local, rule, kind, name, change):
    spoilt = broken(local, name, kind, change)
    assert mandatory(pack, spoilt) == {rule}
    pack.configure({rule: RuleConfiguration("disabled", {})})
    assert mandatory(pack, spoilt) == set()
    pack.configure({"all": RuleConfiguration("advisory", {})})
    assert rule in {finding.rule for finding in pack.judge(spoilt)}
    assert mandatory(pack, spoilt) == set()


def test_an_old_engine_is_refused(pack, local):
    old = f"vllm/vllm-openai:v0.31.0@sha256:{'0' * 64}"
    assert mandatory(
        pack, broken(local, "chat", "Deployment", lambda spec: container(spec).update(image=old))
    ) == {"SUP-002"}


def test_a_secret_and_an_output_pass_only_with_their_marks(pack):
    mark = {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG}
    token = f"ghp_{'a' * 36}"

    def subjects(wrapped: Any) -> list[Subject]:
        metadata = {"name": "verify", "namespace": "inference"}
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "stringData": wrapped}
        return [
            Subject("kubernetes:core/v1:Secret", "verify", "urn:pulumi:a::b::c::verify", "", secret),
            Subject(STACK_TYPE, "stack", "urn:pulumi:a::b::c::stack", "", {"tokens": wrapped}),
        ]

    assert mandatory(pack, subjects({"token": token})) == {"SEC-009", "SEC-009-OUTPUTS"}
    assert mandatory(pack, subjects({**mark, "value": {"token": token}})) == set()


def test_a_finding_names_its_resource_and_not_the_description_again(pack, local):
    spoilt = broken(local, "gateway", "PodDisruptionBudget", lambda spec: spec.update(maxUnavailable=0))
    (finding,) = [finding for finding in pack.judge(spoilt) if finding.level == "mandatory"]
    assert finding.urn.endswith("gateway-disruption-budget")
    assert finding.message.startswith("PodDisruptionBudget/gateway/gateway: maxUnavailable 0")


def test_a_waiver_reaches_the_pack(pack, local):
    spoilt = broken(local, "chat", "Deployment", lambda spec: spec["template"]["spec"].update(hostPID=True))
    waiver = {"resource": "Deployment/inference/*", "reason": "debugged this week", "expires": "9999-01-31"}
    pack.configure({"SEC-004": RuleConfiguration(None, {"waivers": [waiver]})})
    assert mandatory(pack, spoilt) == set()
    pack.configure({"SEC-004": RuleConfiguration(None, {"waivers": [{**waiver, "expires": "2020-01-31"}]})})
    found = [finding.message for finding in pack.judge(spoilt) if finding.rule == "SEC-004"]
    assert [message for message in found if "its waiver expired on 2020-01-31" in message]
    assert [message for message in found if "hostPID" in message]


def test_a_pack_that_does_not_start_shows_its_error(tmp_path, monkeypatch):
    tmp_path.joinpath("__main__.py").write_text('raise RuntimeError("a broken pack")')
    monkeypatch.setattr(process, "PACK", tmp_path)
    with pytest.raises(PackFailure, match="a broken pack"), running_pack({}, "local", "llm-platform"):
        pass

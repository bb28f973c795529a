"""The project's own policy pack under the real CLI, on a plain program that knows nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.local.pulumi.project import Project

pytestmark = pytest.mark.cluster

PACK = str(Path(__file__).resolve().parents[3] / "policies")

PROGRAM = """
space = k8s.core.v1.Namespace(
    "space",
    metadata={{"name": namespace, "labels": {{"pod-security.kubernetes.io/enforce": "restricted"}}}},
    opts=options(),
)
k8s.networking.v1.NetworkPolicy(
    "closed",
    metadata={{"name": "closed", "namespace": namespace}},
    spec={{"podSelector": {{}}, "policyTypes": ["Ingress", "Egress"]}},
    opts=options(depends_on=[space]),
)
k8s.core.v1.ServiceAccount(
    "account",
    metadata={{"name": "server", "namespace": namespace}},
    automount_service_account_token=False,
    opts=options(depends_on=[space]),
)
restricted = {{
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": {escalation},
    "capabilities": {{"drop": ["ALL"]}},
    "seccompProfile": {{"type": "RuntimeDefault"}},
}}
k8s.apps.v1.Deployment(
    "server",
    metadata={{"name": "server", "namespace": namespace}},
    spec={{
        "replicas": 1,
        "selector": {{"matchLabels": {{"app": "server"}}}},
        "template": {{
            "metadata": {{"labels": {{"app": "server"}}}},
            "spec": {{
                "serviceAccountName": "server",
                "automountServiceAccountToken": False,
                "nodeSelector": {{"llm-platform/accelerator": {accelerator}}},
                "tolerations": [{{"key": "nvidia.com/gpu", "operator": "Exists"}}],
                "containers": [
                    {{
                        "name": "engine",
                        "image": "{image}",
                        "args": ["Qwen/Qwen3-8B", "--revision", "{revision}", "--max-model-len", "{context}"],
                        "env": [{{"name": "TOKEN", "value": {token}}}],
                        "resources": {{"limits": {{"nvidia.com/gpu": "1"}}}},
                        "securityContext": restricted,
                    }}
                ],
            }},
        }},
    }},
    opts=options(depends_on=[space]),
)
"""

COMPLIANT = {
    "escalation": False,
    "accelerator": '"nvidia-l4"',
    "context": "8192",
    "image": f"vllm/vllm-openai:v0.32.0@sha256:{'0a' * 32}",
    "revision": "b968826d9c46dd6066d109eabc6255188de91218",
    "token": '"none"',
}
TOKEN = f"hf_{'aB' * 17}"


def test_a_compliant_program_passes_and_each_violation_stops_the_preview(project: Project):
    project.write(PROGRAM.format(**COMPLIANT))
    project.succeed("preview", "--policy-pack", PACK)
    project.write(PROGRAM.format(**{**COMPLIANT, "escalation": True, "context": "40960"}))
    output = project.fail("preview", "--policy-pack", PACK)
    identity = f"Deployment/{project.namespace}/server"
    assert f"{identity}: container engine may gain privileges" in output
    assert f"{identity}: container engine: Qwen/Qwen3-8B does not fit on 1 x nvidia-l4" in output


def test_images_models_and_credentials_are_judged(project: Project):
    changes = {"image": "example.com/vllm/vllm-openai:v0.31.0", "revision": "main", "token": repr(TOKEN)}
    project.write(PROGRAM.format(**{**COMPLIANT, **changes}))
    output = project.fail("preview", "--policy-pack", PACK)
    identity = f"Deployment/{project.namespace}/server"
    assert (
        f"{identity}: container engine runs example.com/vllm/vllm-openai:v0.31.0 from example.com" in output
    )
    assert f"{identity}: container engine: vllm is v0.31.0, older than 0.32.0" in output
    assert f"{identity}: container engine: the model Qwen/Qwen3-8B is pinned to main" in output
    assert (
        f"{identity}: spec.template.spec.containers[0].env[0].value looks like a Hugging Face token" in output
    )
    assert TOKEN not in output


def test_the_configuration_reaches_the_rules(project: Project):
    project.write(PROGRAM.format(**{**COMPLIANT, "escalation": True, "context": "40960"}))
    waiver = {"resource": "Deployment/*/server", "reason": "measured on the machine", "expires": "9999-12-31"}
    configuration = project.folder / "policies.json"
    configuration.write_text(json.dumps({"GPU-001": {"waivers": [waiver]}, "SEC-004": "advisory"}))
    options = ("--policy-pack", PACK, "--policy-pack-config", str(configuration))
    output = project.succeed("preview", *options)
    assert "may gain privileges" in output
    assert "does not fit" not in output
    configuration.write_text(json.dumps({"GPU-001": {"waivers": [{**waiver, "expires": "2020-01-31"}]}}))
    assert "its waiver expired on 2020-01-31" in project.fail("preview", *options)


def test_what_a_preview_cannot_know_is_said(project: Project):
    project.write(PROGRAM.format(**{**COMPLIANT, "accelerator": "space.id"}))
    output = project.succeed("preview", "--policy-pack", PACK)
    assert "can't run policy 'GPU-001'" in output
    assert f"Deployment/{project.namespace}/server" in output
    assert "nodeSelector" in output


def test_the_budget_of_the_stack_file_reaches_the_rules(project: Project):
    project.write(
        """
k8s.apiextensions.CustomResource(
    "l4",
    api_version="karpenter.sh/v1",
    kind="NodePool",
    metadata={"name": namespace},
    spec={
        "limits": {"nodes": 2},
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "gpu"},
                "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
                "requirements": [
                    {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.2xlarge"]}
                ],
            }
        },
    },
    opts=options(),
)
"""
    )
    project.succeed("preview", "--policy-pack", PACK)
    project.succeed("config", "set", "--path", "budget.monthly_usd", "100", "--type", "int")
    assert "the budget is 100 $/month" in project.fail("preview", "--policy-pack", PACK)

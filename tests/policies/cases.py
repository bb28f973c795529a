"""For every rule: resources that keep it, resources that break it, and some that leave it unjudged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.objects import STACK_TYPE
from tests.policies.judging import UNKNOWN, Manifest, changed, golden, secret, with_argument, without

CHAT, L4 = golden("deployment-chat"), golden("nodepool-l4")
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


@dataclass(frozen=True)
class Case:
    """identity: what the report calls the resource that breaks the rule.

    unknown: resources of which a preview does not know enough. repeatable: a copy under another name breaks
    the rule a second time.
    """

    identity: str
    compliant: tuple[Manifest, ...]
    broken: tuple[Manifest, ...]
    unknown: tuple[Manifest, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = True


def network_policy(name: str, spec: Mapping[str, Any]) -> Manifest:
    """A NetworkPolicy beside the engines."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "inference"},
        "spec": dict(spec),
    }


def to_block(cidr: str, excluded: list[str]) -> Manifest:
    """A NetworkPolicy that opens a block of addresses."""
    block = {"ipBlock": {"cidr": cidr, "except": excluded}}
    return network_policy(
        "staging-to-stores-out", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [block]}]}
    )


INFERENCE = golden("namespace-inference")
DENY = network_policy(
    "inference-default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": []}
)
FROM_GATEWAY = network_policy(
    "gateway-to-engines-in",
    {
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "engine"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}},
                        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}},
                    }
                ],
                "ports": [{"port": 8000}],
            }
        ],
    },
)


def with_nodes(count: int) -> Manifest:
    """The pool with another limit."""
    return changed(L4, "spec.limits", {"nodes": count})


CASES = {
    "GPU-001": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT, L4),
        broken=(changed(CHAT, f"{CONTAINER}.args.0", "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"), L4),
        unknown=(changed(CHAT, f"{CONTAINER}.args.0", UNKNOWN), L4),
    ),
    "GPU-002": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT, L4),
        broken=(with_argument(CHAT, "--tensor-parallel-size", "2"), L4),
        unknown=(
            changed(CHAT, f"{CONTAINER}.resources", {"limits": {"nvidia.com/gpu": UNKNOWN, "memory": "1Gi"}}),
            L4,
        ),
    ),
    "GPU-010": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT, L4),
        broken=(without(CHAT, f"{POD}.tolerations"), L4),
        unknown=(changed(CHAT, f"{POD}.nodeSelector", UNKNOWN), L4),
    ),
    "REL-003": Case(
        identity="Deployment/gateway/gateway",
        compliant=(
            changed(golden("deployment-gateway"), "spec.replicas", 2),
            golden("poddisruptionbudget-gateway"),
        ),
        broken=(changed(golden("deployment-gateway"), "spec.replicas", 2),),
        unknown=(changed(golden("deployment-gateway"), "spec.replicas", UNKNOWN),),
    ),
    "SEC-001": Case(
        identity="Service/inference/chat",
        compliant=(CHAT, golden("service-chat")),
        broken=(CHAT, changed(golden("service-chat"), "spec.type", "LoadBalancer")),
        unknown=(CHAT, changed(golden("service-chat"), "spec.type", UNKNOWN)),
    ),
    "SEC-002": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT, DENY, FROM_GATEWAY),
        broken=(CHAT,),
        unknown=(CHAT, changed(DENY, "spec.ingress", UNKNOWN)),
    ),
    "SEC-003": Case(
        identity="Namespace/inference",
        compliant=(CHAT, INFERENCE, DENY),
        broken=(CHAT, without(INFERENCE, "metadata.labels"), DENY),
        unknown=(CHAT, changed(INFERENCE, "metadata.labels", UNKNOWN), DENY),
        repeatable=False,
    ),
    "SEC-004": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{POD}.hostNetwork", True),),
        unknown=(changed(CHAT, f"{CONTAINER}.securityContext.privileged", UNKNOWN),),
    ),
    "SEC-005": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{CONTAINER}.args.0", "--trust-remote-code"),),
        unknown=(changed(CHAT, f"{CONTAINER}.args", UNKNOWN),),
    ),
    "SEC-006": Case(
        identity="NetworkPolicy/inference/staging-to-stores-out",
        compliant=(to_block("0.0.0.0/0", ["169.254.0.0/16"]),),
        broken=(to_block("0.0.0.0/0", ["169.254.170.0/24"]),),
        unknown=(to_block(UNKNOWN, []),),
    ),
    "SEC-009": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{CONTAINER}.env.0", {"name": "HF_TOKEN", "value": f"hf_{'aB' * 17}"}),),
        unknown=(changed(CHAT, f"{CONTAINER}.env.0.value", UNKNOWN),),
    ),
    "SEC-009-OUTPUTS": Case(
        identity="stack",
        compliant=(
            {"kind": STACK_TYPE, "gateway_url": "http://127.0.0.1:8080", "key": secret("sk-" + "a" * 40)},
        ),
        broken=({"kind": STACK_TYPE, "key": "sk-" + "a" * 40},),
        unknown=({"kind": STACK_TYPE, "gateway_url": UNKNOWN},),
        repeatable=False,
    ),
    "SEC-011": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(without(CHAT, f"{POD}.serviceAccountName"),),
        unknown=(changed(CHAT, f"{POD}.automountServiceAccountToken", UNKNOWN),),
    ),
    "SUP-001": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{CONTAINER}.image", "vllm/vllm-openai:latest"),),
        unknown=(changed(CHAT, f"{CONTAINER}.image", UNKNOWN),),
    ),
    "SUP-002": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{CONTAINER}.image", "vllm/vllm-openai:v0.31.2"),),
        unknown=(changed(CHAT, f"{CONTAINER}.image", UNKNOWN),),
    ),
    "SUP-002-ADVICE": Case(
        identity="Deployment/inference/chat",
        compliant=(CHAT,),
        broken=(changed(CHAT, f"{CONTAINER}.image", "ghcr.io/huggingface/text-generation-inference:3.3.7"),),
        unknown=(changed(CHAT, f"{CONTAINER}.image", UNKNOWN),),
    ),
    "SUP-003": Case(
        identity="Deployment/inference/chat",
        compliant=(with_argument(CHAT, "--revision", "a" * 40),),
        broken=(with_argument(changed(CHAT, f"{CONTAINER}.args.0", "Qwen/Qwen3-8B"), "--revision", "main"),),
        unknown=(changed(CHAT, f"{CONTAINER}.args", UNKNOWN),),
    ),
    "COST-001": Case(
        identity="stack",
        compliant=(L4,),
        # 6 x g6.2xlarge at 0.98 $/h.
        broken=(with_nodes(60),),
        unknown=(changed(L4, "spec.limits", UNKNOWN),),
        config={"usd_per_hour": 20},
        repeatable=False,
    ),
    "COST-001-ADVICE": Case(
        identity="NodePool/l4",
        # Nobody knows what machines these are, so no price of theirs is old.
        compliant=(changed(L4, "spec.template", {}),),
        broken=(L4,),
        unknown=(changed(L4, "spec.template.spec.requirements", UNKNOWN),),
        config={"max_price_age_days": 0},
    ),
}

"""`allowed_media_domains`: what one model's engines may fetch, and what the network opens for it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from policies.reachability import network_policies
from serving.engines.vllm import NO_DOMAIN
from serving.names import COMPONENT_LABEL, INFERENCE_NAMESPACE, selector
from stacks import program
from stacks.load import parse
from stacks.problems import StackError
from tests.policies.judging import registered
from tests.policies.reaching import AddressEnd, Destination, PodEnd, reaches
from tests.recording import record
from tests.stacks.environments import local_values, stack_on

DOMAINS = ["images.example.com", "cdn.example.org"]
INSIDE = ["10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1"]
ADDRESSES = {"8.8.8.8": True, **dict.fromkeys(INSIDE, False)}


def values(domains: object) -> dict[str, Any]:
    changed = local_values()
    changed["models"][0]["allowed_media_domains"] = domains
    return changed


def test_the_engine_is_told_and_the_network_opens_for_its_pods_alone(tmp_path: Path):
    stack = stack_on(tmp_path / "kubeconfig", values(DOMAINS))
    allowed, other = (model.name for model in stack.models)
    recording = record(lambda: program.export(program.build(stack)))
    objects = [item.inputs for item in recording if "metadata" in item.inputs]
    arguments = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["args"]
        for item in objects
        if item["kind"] == "Deployment" and item["metadata"]["namespace"] == INFERENCE_NAMESPACE
    }
    at = arguments[allowed].index("--allowed-media-domains") + 1
    assert arguments[allowed][at : at + 2] == DOMAINS
    at = arguments[other].index("--allowed-media-domains") + 1
    assert arguments[other][at] == NO_DOMAIN
    policies = network_policies([registered(item) for item in objects])
    for name in (allowed, other):
        pod = PodEnd(INFERENCE_NAMESPACE, {COMPONENT_LABEL: "engine", **selector(name)})
        for address, inside_the_internet in ADDRESSES.items():
            for port in (443, 80, 8000):
                found = reaches(policies, pod, Destination(AddressEnd(ip_address(address)), port, "TCP"))
                assert found == (name == allowed and inside_the_internet and port != 8000), (
                    name,
                    address,
                    port,
                )


@pytest.mark.parametrize(
    "domain",
    [
        "https://a.example.com",
        "*.example.com",
        "localhost",
        "10.0.0.1",
        "A.example.com",
        "a.example.com/x",
        "",
    ],
)
def test_what_is_no_domain_is_one_line_of_error(domain: str):
    with pytest.raises(StackError, match=r"models\[0\].allowed_media_domains\[0\]"):
        parse(values([domain]), "Pulumi.test.yaml")

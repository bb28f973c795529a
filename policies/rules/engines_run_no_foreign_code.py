"""SEC-005: engines run nobody else's code and open no door for development."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.engine_commands import engine_words
from policies.objects import Resource
from policies.pods import Container, pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings

FLAGS: Mapping[str, str] = {
    "--trust-remote-code": "runs Python that lies beside the weights",
    "--enable-tokenizer-info-endpoint": "shows the tokenizer and its chat template to every client",
    "--profiler-config": "lets every client write traces to disk",
}
"""What an engine must not be started with, and what it would do."""

VARIABLES: Mapping[str, str] = {
    "VLLM_SERVER_DEV_MODE": "opens /collective_rpc, which calls any method in every worker",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "unpickles what other processes send",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "lets every client load adapters from any path",
    "VLLM_TORCH_PROFILER_DIR": "lets every client write traces to disk",
    "VLLM_TORCH_CUDA_PROFILE": "lets every client start the profiler",
    "TRUST_REMOTE_CODE": "runs Python that lies beside the weights",
}
"""The same for environment variables; the last is text-generation-inference's."""

OFF = ("", "0", "false")


class Sec005Settings(Settings):
    allowed: tuple[str, ...] = Field(
        default=(), description="flags and variables that may be set all the same, as they are written"
    )


def judge(resources: Sequence[Resource], settings: Sec005Settings, report: Report) -> None:
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            for container in pod_of(owner).all_containers():
                for check in (_flags(container), _variables(container)):
                    with report.judging(owner.identity, owner.urn):
                        for name, message in check:
                            if name not in settings.allowed:
                                violation(f"container {container.name}: {message}")


def _flags(container: Container) -> Iterator[tuple[str, str]]:
    """Only of engines: other programs may mean something else by the same word."""
    for word in engine_words(container):
        flag, _, value = word.partition("=")
        # vLLM takes underscores for dashes.
        flag = flag.replace("_", "-")
        if flag in FLAGS and value.lower() not in ("0", "false"):
            yield flag, f"{flag} {FLAGS[flag]}: remove it"


def _variables(container: Container) -> Iterator[tuple[str, str]]:
    for variable in container.section.sections("env"):
        name = variable.text("name")
        if name is None or name not in VARIABLES:
            continue
        # From a ConfigMap or a Secret, nobody knows what it will be.
        value = variable.text("value")
        if variable.has("valueFrom") or (value or "").lower() not in OFF:
            yield name, f"{name} {VARIABLES[name]}: remove it"


RULE = Rule(
    id="SEC-005",
    description="Engines have no setting that runs foreign code or opens paths for development.",
    remediation="Remove the setting. A model that needs code of its own is converted, or waits for the "
    "engine's support.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sec005Settings,
    subjects=pod_subjects,
    judge=judge,
)

"""A policy pack in a process of its own, asked as Pulumi's engine asks it, without the CLI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies.configuration import ALL, NOTHING, RuleConfiguration

PACK = Path(__file__).resolve().parent

ANSWER_SECONDS = 60
"""No answer takes one second on a busy machine: a pack that does not answer is broken."""

NO_LIMIT = [
    ("grpc.max_send_message_length", 400 * 1024**2),
    ("grpc.max_receive_message_length", 400 * 1024**2),
]
"""The size that Pulumi itself allows; gRPC's own 4 MiB are less than a stack with many boards."""

LEVELS = {
    "advisory": analyzer_pb2.ADVISORY,
    "mandatory": analyzer_pb2.MANDATORY,
    "disabled": analyzer_pb2.DISABLED,
}


class PackFailure(RuntimeError):
    """The pack did not start or did not answer; the message has what it printed."""


@dataclass(frozen=True)
class Subject:
    """One registered resource, as the pack gets to see it."""

    type: str
    name: str
    urn: str
    parent: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class RuleFacts:
    """What the pack says about one of its rules."""

    name: str
    description: str
    level: str
    severity: str
    remediation: str
    url: str


@dataclass(frozen=True)
class Finding:
    """One thing that the pack has to say. urn: empty if it concerns the whole stack."""

    rule: str
    level: str
    urn: str
    message: str


@dataclass(frozen=True)
class Pack:
    """A running pack."""

    name: str
    rules: Mapping[str, RuleFacts]
    _stub: analyzer_pb2_grpc.AnalyzerStub

    def configure(self, configuration: Mapping[str, RuleConfiguration]) -> None:
        """Sets level and settings of every rule, as the engine does before the first resource."""
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        shared = configuration.get(ALL, NOTHING)
        for name, rule in self.rules.items():
            own = configuration.get(name, NOTHING)
            entry = request.policyConfig[name]
            # Protobuf knows no missing level: left out, every rule would become advisory.
            entry.enforcementLevel = LEVELS[own.level or shared.level or rule.level]
            entry.properties.update({**shared.settings, **own.settings})
        self._stub.Configure(request, timeout=ANSWER_SECONDS)

    def judge(self, subjects: Sequence[Subject]) -> list[Finding]:
        """Everything that the rules find, first about single resources, then about all together."""
        found: list[Finding] = []
        stack = analyzer_pb2.AnalyzeStackRequest()
        for subject in subjects:
            request = analyzer_pb2.AnalyzeRequest(type=subject.type, name=subject.name, urn=subject.urn)
            request.properties.update(subject.properties)
            response = self._stub.Analyze(request, timeout=ANSWER_SECONDS)
            found += [self._finding(item, subject.urn) for item in response.diagnostics]
            stack.resources.append(
                analyzer_pb2.AnalyzerResource(
                    type=subject.type,
                    name=subject.name,
                    urn=subject.urn,
                    parent=subject.parent,
                    properties=request.properties,
                )
            )
        response = self._stub.AnalyzeStack(stack, timeout=ANSWER_SECONDS)
        return found + [self._finding(item, item.urn) for item in response.diagnostics]

    def _finding(self, item: analyzer_pb2.AnalyzeDiagnostic, urn: str) -> Finding:
        level = next(name for name, value in LEVELS.items() if value == item.enforcementLevel)
        # The SDK puts the description before every message.
        message = item.message.removeprefix(f"{item.description}\n")
        return Finding(rule=item.policyName, level=level, urn=urn, message=message)


@contextmanager
def running_pack(configuration: Mapping[str, str], stack: str, project: str) -> Iterator[Pack]:
    """Starts the pack of this folder; it ends with the block. Raises PackFailure.

    configuration: the stack's own, by key, which a rule may read as the program does.
    """
    about = analyzer_pb2.AnalyzerStackConfigureRequest(
        stack=stack, project=project, dry_run=True, config=dict(configuration)
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(PACK)],
        cwd=PACK,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield from _connected(process, about)
    finally:
        process.kill()
        process.communicate()


def _connected(
    process: subprocess.Popen[str], about: analyzer_pb2.AnalyzerStackConfigureRequest
) -> Iterator[Pack]:
    assert process.stdout is not None
    assert process.stderr is not None
    port = process.stdout.readline().strip()
    if not port.isdigit():
        # It has ended, or it will: a pack says its port first of all.
        process.kill()
        raise PackFailure(f"the policy pack did not start:\n{port}{process.stderr.read()}")
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=NO_LIMIT) as channel:
        stub = analyzer_pb2_grpc.AnalyzerStub(channel)
        try:
            stub.ConfigureStack(about, timeout=ANSWER_SECONDS)
            info = stub.GetAnalyzerInfo(Empty(), timeout=ANSWER_SECONDS)
            yield Pack(info.name, {rule.name: _facts(rule) for rule in info.policies}, stub)
        except grpc.RpcError as error:
            raise PackFailure(f"the policy pack did not answer: {error}") from None


def _facts(rule: analyzer_pb2.PolicyInfo) -> RuleFacts:
    severity = analyzer_pb2.PolicySeverity.Name(rule.severity)
    return RuleFacts(
        name=rule.name,
        description=rule.description,
        level=next(name for name, value in LEVELS.items() if value == rule.enforcementLevel),
        severity=severity.removeprefix("POLICY_SEVERITY_").lower(),
        remediation=rule.remediation_steps,
        url=rule.url,
    )

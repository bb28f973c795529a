"""`python -m stacks.commands.policy_check <stack>`: judges a stack without a cluster, cloud or CLI.

The program runs against a monitor that only records. What it registers is put before the real pack, in a
process of its own, as Pulumi's engine would. Only inputs can be judged this way: no cloud is asked, so
nothing is said about what would be replaced, and defaults that a cluster fills in are not there.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pulumi
import yaml
from rich.console import Console
from rich.table import Table

from infra.local import KUBECONFIG_EXTENSION
from policies.configuration import ConfigurationError, RuleConfiguration, read_configuration
from policies.process import Finding, PackFailure, RuleFacts, Subject, running_pack
from serving.images.pinned import IMAGES, Image, Unresolved
from stacks import program
from stacks.commands.recording import STACK_TYPE, record
from stacks.config import LocalCluster, Stack
from stacks.load import PROJECT, STACKS, from_file
from stacks.plan.catalogue import with_prices_stated
from stacks.problems import StackError
from stacks.signing_keys import KeyFileError, KeyFiles, key_files

INPUTS_ONLY = (
    "Judged by inputs only: no cluster and no cloud was asked, so nothing is known about what would be "
    "replaced or refused there."
)

STAND_IN_ADDRESSES = {"prometheus": "http://prometheus.invalid:9090", "hub": "https://hub.invalid"}
"""Address in the recorded resources where `make up` would have noted the real one. Nobody asks it."""


@dataclass(frozen=True)
class Verdict:
    """What the pack says about a stack. scope: what was and what was not judged, in sentences."""

    stack: str
    scope: tuple[str, ...]
    resources: int
    rules: Mapping[str, RuleFacts]
    findings: tuple[Finding, ...]
    configuration: Mapping[str, RuleConfiguration]

    @property
    def refused(self) -> bool:
        """Whether a mandatory rule is broken."""
        return any(finding.level == "mandatory" for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        """The report for scripts."""
        return {
            "stack": self.stack,
            "passed": not self.refused,
            "scope": list(self.scope),
            "resources": self.resources,
            "rules": [asdict(rule) for rule in self.rules.values()],
            "findings": [
                {
                    **asdict(finding),
                    "severity": self.rules[finding.rule].severity,
                    "remediation": self.rules[finding.rule].remediation,
                    "url": self.rules[finding.rule].url,
                }
                for finding in self.findings
            ],
            "waivers": [
                {"rule": rule, **waiver}
                for rule, entry in self.configuration.items()
                for waiver in entry.settings.get("waivers", [])
            ],
            "images_without_digest": [
                {"image": row.reference, "reason": waiver.reason, "expires": waiver.expires.isoformat()}
                for row, waiver in _unresolved()
            ],
        }

    def show(self, console: Console) -> None:
        """Prints the report for people."""
        for sentence in self.scope:
            console.print(sentence, highlight=False)
        if self.findings:
            table = Table(title=f"Findings in {self.stack}", title_justify="left", show_lines=True)
            table.add_column("rule", no_wrap=True)
            table.add_column("level", no_wrap=True)
            for heading in ("finding", "remedy"):
                table.add_column(heading, overflow="fold")
            for finding in self.findings:
                table.add_row(
                    finding.rule, finding.level, finding.message, self.rules[finding.rule].remediation
                )
            console.print(table)
        for line in waivers(self):
            console.print(f"Waived: {line}", highlight=False, markup=False)
        mandatory = sum(finding.level == "mandatory" for finding in self.findings)
        console.print(
            f"{self.stack}: {len(self.rules)} rules, {self.resources} resources, {mandatory} mandatory and "
            f"{len(self.findings) - mandatory} advisory findings.",
            highlight=False,
        )


def waivers(verdict: Verdict) -> list[str]:
    """What was waived for how long and why, in lines: by the stack's file, and images without a digest."""
    return [
        *(
            f"{rule} for {waiver.get('resource')} until {waiver.get('expires')}: {waiver.get('reason')}"
            for rule, entry in verdict.configuration.items()
            for waiver in entry.settings.get("waivers", [])
        ),
        *(
            f"SUP-001 for {row.reference} until {waiver.expires}, but for no cloud: {waiver.reason}"
            for row, waiver in _unresolved()
        ),
    ]


def _unresolved() -> list[tuple[Image, Unresolved]]:
    """Rows of serving/images/data/images.yaml that the rule on images accepts for a while."""
    return [(row, row.waiver) for row in IMAGES.values() if row.waiver is not None]


def check(stack: Stack, name: str, configuration_file: Path | None) -> Verdict:
    """Judges `stack`. Raises pulumi.RunError, PackFailure or ConfigurationError."""
    with tempfile.TemporaryDirectory() as folder:
        judged, scope = _recordable(stack, name, Path(folder))
        recording = record(lambda: program.export(program.build(judged)), stack=name)
    subjects = [
        Subject(item.type, item.name, item.urn, item.parent, item.inputs) for item in recording.resources
    ]
    subjects += [
        Subject(STACK_TYPE, urn.rpartition("::")[2], urn, "", outputs)
        for urn, outputs in recording.outputs.items()
        if f"::{STACK_TYPE}::" in urn
    ]
    values = {f"{PROJECT}:{key}": json.dumps(value) for key, value in stack.model_dump(mode="json").items()}
    with running_pack(values, stack=name, project=PROJECT) as pack:
        configuration = (
            {} if configuration_file is None else read_configuration(configuration_file, pack.rules)
        )
        pack.configure(configuration)
        found = pack.judge(subjects)
    return Verdict(
        stack=name,
        scope=scope,
        resources=len(recording.resources),
        rules=pack.rules,
        # The same order on every run: resources register in whatever order their outputs resolve.
        findings=tuple(sorted(found, key=lambda item: (item.level != "mandatory", item.rule, item.message))),
        configuration=configuration,
    )


def _recordable(stack: Stack, name: str, folder: Path) -> tuple[Stack, tuple[str, ...]]:
    """The stack on a cluster that the recording can stand in for, and what that leaves unjudged.

    Raises pulumi.RunError for public keys that the gateway must not get.
    """
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig()), encoding="utf-8")
    cluster = stack.cluster
    scope = [INPUTS_ONLY, *_keys_scope(key_files(name, stack))]
    if cluster.is_built:
        stand_in = cluster.model_copy(update={"kubeconfig": str(kubeconfig)})
    else:
        scope.append(
            f"cluster.provider {cluster.provider}: the program does not build this cluster yet. Of it only "
            f"the plan can be checked (make plan STACK=...). Judged here is what runs inside: workloads, "
            "autoscaling and node pools, registered as on the local cluster."
        )
        stand_in = LocalCluster(
            provider="local", name=cluster.name, kubeconfig=str(kubeconfig), node_startup_seconds=0
        )
    # Nobody who checks needs a private key; these are gone with the recording.
    keys = KeyFiles(name, folder / "keys" / "jwks.json", folder / "keys")
    keys.create()
    tokens = stack.gateway.tokens.model_copy(update={"public_keys": str(keys.jwks)})
    gateway = stack.gateway.model_copy(update={"tokens": tokens})
    stated = with_prices_stated(stack)
    return stated.model_copy(update={"cluster": stand_in, "gateway": gateway}), tuple(scope)


def _keys_scope(files: KeyFiles) -> list[str]:
    """What to say of the stack's public keys. Raises pulumi.RunError for ones that are wrong."""
    if not files.jwks.exists():
        return [
            f"gateway.tokens.public_keys: {files.jwks.name} does not exist yet, and an update would end with "
            f"that (make key STACK={files.stack}). Judged with made-up keys."
        ]
    try:
        files.public_keys()
    except KeyFileError as error:
        raise pulumi.RunError(f"gateway.tokens.public_keys: {error}") from None
    return []


def _kubeconfig() -> dict[str, object]:
    extension = {"name": KUBECONFIG_EXTENSION, "extension": STAND_IN_ADDRESSES}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "none", "cluster": {"server": "https://127.0.0.1:1", "extensions": [extension]}}
        ],
    }


def default_configuration(name: str) -> Path | None:
    """stacks/policies.<stack>.json, if the stack has one."""
    path = STACKS / f"policies.{name}.json"
    return path if path.is_file() else None


def main(arguments: Sequence[str]) -> int:
    """0: no mandatory rule is broken. 1: one is. 2: it could not be judged."""
    parser = argparse.ArgumentParser(
        prog="python -m stacks.commands.policy_check", description="Judge a stack by policy."
    )
    parser.add_argument("stack", help="such as local, for stacks/Pulumi.local.yaml")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--policy-pack-config",
        type=Path,
        help="levels, settings and waivers; by default stacks/policies.<stack>.json if it exists",
    )
    options = parser.parse_args(arguments)
    configuration = options.policy_pack_config or default_configuration(options.stack)
    try:
        verdict = check(from_file(options.stack), options.stack, configuration)
    except (StackError, pulumi.RunError, ConfigurationError, PackFailure) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(verdict.as_json(), indent=2))
    else:
        verdict.show(Console())
    return 1 if verdict.refused else 0


if __name__ == "__main__":
    # As in the program's own __main__.py.
    gc.disable()
    sys.exit(main(sys.argv[1:]))

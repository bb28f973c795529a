"""A small Pulumi project of one test, run by the real CLI."""

from __future__ import annotations

import json
import subprocess
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

OPERATION_SECONDS = 90.0
"""No operation here takes ten; a hung one must end with its output, not with the test run's limit."""

PREAMBLE = """
import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
provider = k8s.Provider("cluster", kubeconfig={kubeconfig!r}, cluster_identifier="test", **{arguments!r})


def options(**more):
    return pulumi.ResourceOptions(provider=provider, **more)

"""


@dataclass(frozen=True)
class Done:
    """One run of the CLI."""

    code: int
    output: str


@dataclass
class Project:
    """A Pulumi project in a folder of its own, with one stack, for one cluster."""

    folder: Path
    pulumi: Path
    variables: dict[str, str]
    cluster: Cluster

    @property
    def namespace(self) -> str:
        """A namespace for this project's objects; the programs create it."""
        return self.folder.name

    def write(self, program: str, **arguments: bool) -> None:
        """Writes __main__.py: the program after a provider for the cluster, which gets the `arguments`."""
        start = PREAMBLE.format(kubeconfig=str(self.cluster.kubeconfig), arguments=arguments)
        self.folder.joinpath("__main__.py").write_text(
            f"{start}namespace = {self.namespace!r}\n{textwrap.dedent(program)}"
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.pulumi), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=OPERATION_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            pytest.fail(f"pulumi {' '.join(arguments)} did not end:\n{output}")
        return Done(process.returncode, output)

    def succeed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.code == 0, done.output
        return done.output

    def fail(self, *arguments: str) -> str:
        """Output of a run that must fail, and must do so without a Python traceback."""
        done = self.run(*arguments)
        assert done.code != 0, done.output
        assert "Traceback" not in done.output
        return done.output

    def up(self) -> str:
        return self.succeed("up", "--yes", "--skip-preview")

    def steps(self, *arguments: str) -> dict[str, str]:
        """What a preview would do: operation by resource name, unchanged resources and providers left out."""
        planned = json.loads(self.succeed("preview", "--json", *arguments))
        return {
            step["urn"].rpartition("::")[2]: step["op"]
            for step in planned["steps"]
            if step["op"] != "same"
            and not step["urn"].endswith("::cluster")
            and "pulumi:pulumi:Stack" not in step["urn"]
        }

    def resources(self) -> dict[str, dict[str, Any]]:
        """The saved state by resource name, secrets still encrypted."""
        exported = json.loads(self.succeed("stack", "export"))
        return {entry["urn"].rpartition("::")[2]: entry for entry in exported["deployment"]["resources"]}

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments)

    def exists(self, *object_name: str) -> bool:
        return bool(self.kubectl("get", *object_name, "--ignore-not-found", "--output", "name").strip())


def eventually(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found

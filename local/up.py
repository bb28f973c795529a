"""`make up`: from an empty machine to the first token, with the time that each part took."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from local.cluster import cluster
from local.cluster.cluster import Cluster, ClusterError
from local.paths import BIN, JWKS, ROOT, STATE
from local.pulumi import install
from local.token import STACK, authorization, ensure_key, token, with_own_files
from local.toolchain.obtain import Toolchain, obtain
from serving.verify.verifier.streams import Progress, StreamError, read, without_token
from stacks.load import from_file

PERSON = "me"
"""Team of the tokens for whoever sits at this machine."""

FIRST_TOKEN_SECONDS = 30.0


class DeployError(Exception):
    """`pulumi up` failed, or the gateway does not answer after it."""


@dataclass
class Stopwatch:
    """What took how long, in order."""

    parts: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.parts.append((name, time.monotonic() - started))

    def table(self) -> Table:
        table = Table("part", "seconds", title="where the time went")
        table.columns[1].justify = "right"
        for name, seconds in self.parts:
            table.add_row(name, f"{seconds:.1f}")
        table.add_section()
        table.add_row("total", f"{sum(seconds for _, seconds in self.parts):.1f}")
        return table


def bring_up_cluster(
    console: Console, cold_start_scale: float, watch: Stopwatch | None = None
) -> tuple[Cluster, Toolchain]:
    """The control plane and Pulumi, ready for `pulumi up`."""
    stopwatch = watch or Stopwatch()
    with stopwatch.part("toolchain"):
        toolchain = obtain(console)
    with stopwatch.part("control plane"):
        running = cluster.up(toolchain, cold_start_scale, console.print)
    with stopwatch.part("pulumi"):
        installation = install.prepare(toolchain.path("pulumi"))
        for line in installation.lines():
            console.print(line)
        cluster.link_tool("pulumi", installation.pulumi)
        _pulumi("stack", "select", "--create", STACK)
    ensure_key()
    return running, toolchain


def bring_up(console: Console, cold_start_scale: float) -> int:
    """Everything, ending with one streamed token from each model.

    Raises DeployError with what to look at.
    """
    watch = Stopwatch()
    running, _ = bring_up_cluster(console, cold_start_scale, watch)
    console.print(f"engines start at {cold_start_scale:g} of their real start-up time (cold_start_scale)")
    with watch.part("pulumi up"):
        answer = subprocess.run(
            [str(BIN / "pulumi"), "up", "--yes", "--skip-preview", "--color", "auto", *stack_options()],
            cwd=ROOT,
            env=environment(),
            check=False,
        )
    if answer.returncode != 0:
        raise DeployError(
            "`pulumi up` failed: its diagnostics above name the object. `make status` shows the rest"
        )
    gateway = gateway_address(running)
    with watch.part("first tokens"):
        _first_tokens(console, gateway)
    console.print(watch.table())
    console.print(
        f"OpenAI-compatible gateway: [bold]{gateway}/v1[/bold]   (models and examples: README.md)\n"
        f"a token, which clients send as their API key: make token TEAM={PERSON}\n"
        f'  curl {gateway}/v1/models -H "Authorization: Bearer $(make -s token TEAM={PERSON})"\n'
        'kubectl, pulumi and OpenAI clients for this cluster: eval "$(make -s env)"'
    )
    return 0


def stack_options() -> list[str]:
    """Pulumi's options for the local stack, with this state folder's cluster and keys.

    The stack file names the checkout's own `.local`. Another folder (tests, benchmarks) gets a copy of
    the file with its own files in it, so that the program never has to ask which cluster is meant.
    """
    if STATE == ROOT / ".local":
        return ["--stack", STACK]
    path = STATE / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load((ROOT / "stacks" / path.name).read_text())
    document["config"] = with_own_files(document["config"])
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return ["--stack", STACK, "--config-file", str(path)]


def gateway_address(running: Cluster) -> str:
    """`http://127.0.0.1:PORT` of the gateway's load balancer.

    Raises DeployError if the Service has none.
    """
    service = json.loads(running.kubectl("get", "service", "-n", "gateway", "gateway", "-o", "json"))
    port = service["spec"]["ports"][0]["port"]
    address = service["metadata"].get("annotations", {}).get(f"local.llm-platform/address-{port}")
    if address is None:
        raise DeployError(
            "Service gateway/gateway has no load balancer address: is the fleet running? (make status)"
        )
    return f"http://{address}"


def _first_tokens(console: Console, gateway: str) -> None:
    with httpx.Client(
        base_url=gateway, headers=authorization(), timeout=FIRST_TOKEN_SECONDS, trust_env=False
    ) as client:
        for model in (row.name for row in from_file(STACK).models if row.task == "generate"):
            started = time.monotonic()
            body = {
                "model": model,
                "stream": True,
                "max_tokens": 16,
                "messages": [{"role": "user", "content": "Say hello."}],
            }
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                answer.raise_for_status()
                progress = Progress()
                try:
                    read((line.encode() for line in answer.iter_lines()), progress)
                except StreamError as error:
                    raise DeployError(f"model {model}: {error}") from None
            if progress.first is None:
                raise DeployError(f"model {model}: {without_token(progress)}")
            console.print(f"{model}: first token after {(progress.first - started) * 1000:.0f} ms")


def environment() -> dict[str, str]:
    """The environment in which pulumi and kubectl work on this cluster."""
    return {**os.environ, **_own_environment()}


def shell_exports() -> str:
    """The same for a shell, and what OpenAI clients read: `eval "$(make -s env)"`."""
    exports = {**_own_environment(), **_openai_environment()}
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())


def _openai_environment() -> dict[str, str]:
    """Empty while there is no gateway: a shell is wanted before the first `pulumi up`, too."""
    if not (BIN / "kubectl").exists() or not JWKS.exists():
        return {}
    try:
        gateway = gateway_address(Cluster(BIN / "kubectl"))
    except (ClusterError, DeployError):
        return {}
    return {"OPENAI_BASE_URL": f"{gateway}/v1", "OPENAI_API_KEY": token(PERSON)}


def _own_environment() -> dict[str, str]:
    path = os.environ.get("PATH", "").split(os.pathsep)
    return {
        **install.environment(),
        "PATH": os.pathsep.join([str(BIN), *(folder for folder in path if folder != str(BIN))]),
    }


def _pulumi(*arguments: str) -> None:
    answer = subprocess.run(
        [str(BIN / "pulumi"), *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise DeployError(f"pulumi {' '.join(arguments)}: {(answer.stderr or answer.stdout).strip()}")

"""`make status`: what runs, where it listens, what the cluster holds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from local.cluster import cluster
from local.cluster.cluster import Cluster, ClusterError
from local.cluster.processes import leftovers
from local.paths import BIN, KUBECONFIG, LOGS, PODS, ROOT
from local.token import authorization
from local.up import DeployError, gateway_address
from stacks.signing_keys import KeyFileError


def print_status(console: Console) -> int:
    """Prints the state of every part. Returns 0 if all of them run, 1 otherwise."""
    states = cluster.states()
    if not states:
        strays = leftovers()
        console.print(
            "the local cluster is not running: `make up` starts it"
            + (
                f" ({len(strays)} processes are left of an earlier one; `make down` ends them)"
                if strays
                else ""
            )
        )
        return 1
    table = Table("process", "state", "pid", "up", "MiB", "log")
    for state in states:
        process = state.state == "RUNNING"
        table.add_row(
            state.name,
            f"[green]{state.state}[/green]" if process else f"[red]{state.state}[/red]",
            str(state.pid) if process else "",
            _duration(time.time() - state.since) if process else "",
            f"{_memory_mib([state.pid]):.0f}" if process else "",
            _shown(state.log),
        )
    console.print(table)
    running = Cluster(BIN / "kubectl")
    try:
        console.print(f"API server {cluster.api_server()}, kubeconfig {_shown(KUBECONFIG)}")
        console.print(running.kubectl("get", "nodes,nodeclaims", "-o", "wide").rstrip())
        console.print(running.kubectl("get", "deployments,jobs,pods", "-A").rstrip())
        gateway = gateway_address(running)
        answer = httpx.get(f"{gateway}/v1/models", headers=authorization(), timeout=5.0, trust_env=False)
        models = ", ".join(row["id"] for row in answer.raise_for_status().json()["data"])
        console.print(f"gateway {gateway}/v1 serves {models}")
    except (ClusterError, DeployError, KeyFileError, httpx.HTTPError) as error:
        console.print(f"[yellow]{error}[/yellow]")
    console.print(f"logs of processes: {_shown(LOGS)}, of pods: {_shown(PODS)}")
    return 0 if all(state.state == "RUNNING" for state in states) else 1


def _shown(path: Path) -> str:
    """Relative to the checkout where it lies inside: short enough for a table."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _memory_mib(pids: Iterable[int]) -> float:
    total = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            total += sum(member.memory_info().rss for member in family)
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"

"""The gateway's configuration as another commit's own code renders it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.gateway_benchmark.access import jwks
from local.gateway_benchmark.cost.documents import http_filters
from local.gateway_benchmark.servers import ServerError
from local.paths import ROOT

RENDER_SECONDS = 60

PROGRAM = """\
import json, sys
from local.gateway_benchmark.servers import envoy_configuration
json.dump(envoy_configuration(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
"""
"""All that is asked of another commit, since this benchmark exists: its `envoy_configuration`."""


def commit_of(revision: str) -> str:
    """The full name of the commit. Raises ServerError where git does not know it."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise ServerError(f"{revision} is not a commit of this repository: give a branch, tag or commit")
    return found.stdout.strip()


def unpack(commit: str, folder: Path) -> Path:
    """The commit's files, in a new folder below `folder`."""
    place = folder / f"tree-{commit}"
    if place.exists():
        return place
    place.mkdir()
    archive = folder / f"{commit}.tar"
    _run(["git", "archive", "--output", str(archive), commit], ROOT)
    _run(["tar", "--extract", "--file", str(archive), "--directory", str(place)], ROOT)
    return place


def rendered(tree: Path, port: int, upstream_port: int) -> Mapping[str, Any]:
    """One static document of the gateway as the code in `tree` renders it, with this run's key for tokens."""
    document = json.loads(_run([sys.executable, "-c", PROGRAM, str(port), str(upstream_port)], tree))
    for provider in _token_filter(document)["providers"].values():
        # Each process makes a key of its own; requests bear a token of this one.
        provider["local_jwks"] = {"inline_string": jwks()}
    return document


def _token_filter(document: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = (item for item in http_filters(document) if "providers" in item.get("typed_config", {}))
    return found["typed_config"]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=RENDER_SECONDS
    )
    if done.returncode != 0:
        raise ServerError(f"{command[0]} failed in {folder}: {done.stderr.strip()[-500:]}")
    return done.stdout

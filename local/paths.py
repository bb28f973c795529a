"""Where the local cluster keeps its files: the only module that knows these paths.

Everything lives under one ignored folder, `.local` in the checkout, so that removing the folder removes the
cluster. `LLM_PLATFORM_STATE` points at another folder, which is how the tests run a cluster of their own
beside one that is in use.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STATE_VARIABLE = "LLM_PLATFORM_STATE"
"""Environment variable that names the state folder."""

STATE = Path(os.environ.get(STATE_VARIABLE, ROOT / ".local")).resolve()

BIN = STATE / "bin"
"""Links to the tools in use (kubectl, pulumi); `make env` puts it first on PATH."""

LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
KEYS = STATE / "keys"
"""The keys that sign tokens of the local gateway."""

JWKS = KEYS / "jwks.json"
"""Their public halves."""

PULUMI_HOME = STATE / "pulumi-home"
PULUMI_BACKEND = STATE / "pulumi-state"
PODS = STATE / "pods"
"""One folder per pod that the fleet runs: volumes, logs."""

TOOL_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-platform"
"""Built tools, shared by every checkout of the machine."""

PROCESS_MARKER = "LLM_PLATFORM_PROCESS_OF"
"""Environment variable with the state folder, set for every process of a cluster and for nothing else: by it
`make down` finds what a killed supervisor left behind, without ever touching a person's own shell."""

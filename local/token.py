"""Keys and tokens of the local gateway: made by `make up`, used by whatever on this machine asks it.

`python -m local.token key|mint local` is `python -m stacks.commands.token` with the keys of this state
folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from local.paths import JWKS, KEYS, KUBECONFIG
from serving.gateway.tokens import EVERY_MODEL, claims, mint
from stacks.commands.token import main
from stacks.load import PROJECT
from stacks.signing_keys import KeyFileError, KeyFiles

STACK = "local"

FILES = KeyFiles(STACK, JWKS, KEYS)

LOAD_TEAM = "load"
"""Of load runs, benchmarks and tests: the local stack file gives it a rate that is never in their way."""

LIFE = timedelta(days=7)
"""Longer than any run; the keys themselves go with the cluster."""


def ensure_key() -> None:
    """Makes the key that signs tokens, unless there is one. Raises KeyFileError."""
    FILES.ensure()


def token(team: str = LOAD_TEAM) -> str:
    """A token for every model, the same for a whole process. Raises KeyFileError where `make up` was not."""
    return _minted(team)


@cache
def _minted(team: str) -> str:
    key = FILES.signing_key()
    if key is None:
        raise KeyFileError(f"no private key is in {KEYS}: `make up` makes one")
    return mint(key, claims(team, STACK, [EVERY_MODEL], (), LIFE))


def authorization(team: str = LOAD_TEAM) -> dict[str, str]:
    """The header of a request that carries the token."""
    return {"Authorization": f"Bearer {token(team)}"}


def with_own_files(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `config` of a local stack file with the cluster and the keys of this state folder."""
    cluster, gateway = (config[f"{PROJECT}:{section}"] for section in ("cluster", "gateway"))
    return {
        **config,
        f"{PROJECT}:cluster": {**cluster, "kubeconfig": str(KUBECONFIG)},
        f"{PROJECT}:gateway": {**gateway, "tokens": {**gateway["tokens"], "public_keys": str(JWKS)}},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda _name, _stack: FILES))

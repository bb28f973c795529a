"""The token with which the verify Job asks: signed here, or brought by whoever runs the update."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from serving.gateway.tokens import EVERY_MODEL, TokenError, claims, mint, verified
from stacks.signing_keys import FOLDER_VARIABLE, KeyFiles

TOKEN_VARIABLE = "LLM_PLATFORM_VERIFY_TOKEN"
"""Environment variable with a token for the Job, for updates on a machine that has no private key."""

TEAM = "verify"

LEAST_LIFE = timedelta(hours=1)
"""Of a token that is signed here: long enough for a Job that is tried again, short enough to be forgotten."""


def verification_token(
    files: KeyFiles, job_seconds: int, environment: Mapping[str, str] = os.environ
) -> Callable[[], str] | None:
    """What gives the token for a Job that may run for `job_seconds`, once the Job is about to begin.

    None where nobody here can sign and nobody brought one. Raises TokenError for a brought token that the
    gateway would refuse, KeyFileError for damaged keys.
    """
    brought = environment.get(TOKEN_VARIABLE)
    if brought is not None:
        token = brought.strip()
        _check(token, files, timedelta(seconds=job_seconds))
        return lambda: token
    key = files.signing_key()
    if key is None:
        return None
    life = max(LEAST_LIFE, timedelta(seconds=job_seconds))
    # Signed late: before the Job, an update may stage weights and buy machines for longer than an hour.
    return lambda: mint(key, claims(TEAM, files.stack, [EVERY_MODEL], (), life))


def _check(token: str, files: KeyFiles, needed: timedelta) -> None:
    try:
        found = verified(token, files.public_keys(), files.stack)
    except TokenError as error:
        raise TokenError(f"{TOKEN_VARIABLE}: {error}. {_another(files.stack)}") from None
    left = found.expires_at - datetime.now(UTC)
    if left < needed:
        raise TokenError(
            f"{TOKEN_VARIABLE}: it expires in {left.total_seconds() / 60:.0f} minutes, and the verify Job "
            f"may run for {needed.total_seconds() / 60:.0f}. {_another(files.stack)}"
        )
    if found.models != (EVERY_MODEL,):
        raise TokenError(
            f"{TOKEN_VARIABLE}: it opens {', '.join(found.models)}, and the verify Job asks every model. "
            f"{_another(files.stack)}"
        )


def _another(stack: str) -> str:
    return f"Another: make token STACK={stack} TEAM={TEAM} MODELS='{EVERY_MODEL}' DAYS=1"


def missing(files: KeyFiles) -> str:
    """What to do where there is no token."""
    return (
        f"nobody here can sign the token with which the verify Job asks: {files.folder} has no "
        f"private half of a key of {files.jwks.name}. Name the folder that has one in {FOLDER_VARIABLE}, or "
        f"bring a token in {TOKEN_VARIABLE} ({_another(files.stack).removeprefix('Another: ')}, by somebody "
        "who can)"
    )

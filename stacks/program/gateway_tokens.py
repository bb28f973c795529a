"""The keys that the gateway gets and the token that its check shows, read before anything is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from serving.gateway.tokens import TokenError
from stacks.config import Stack
from stacks.program.verification import missing, verification_token
from stacks.signing_keys import KeyFileError, key_files


@dataclass(frozen=True)
class GatewayTokens:
    """public_keys: the JWKS that the gateway gets. verification: gives the token of the verify Job."""

    public_keys: str
    verification: Callable[[], str]


def gateway_tokens(stack: Stack, job_seconds: int) -> GatewayTokens:
    """What `stack` says of tokens, for a verify Job that may run for `job_seconds`.

    Raises pulumi.RunError for keys that the gateway must not get, and for an update that could not end.
    """
    files = key_files(pulumi.get_stack(), stack)
    try:
        public_keys = files.text()
        verification = verification_token(files, job_seconds)
    except (KeyFileError, TokenError) as error:
        raise pulumi.RunError(f"gateway.tokens: {error}. Nothing was changed") from None
    if verification is not None:
        return GatewayTokens(public_keys, verification)
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"gateway.tokens: {missing(files)}. Nothing was changed")
    pulumi.log.warn(f"gateway.tokens: {missing(files)}. This is a preview only; an update would end here")
    return GatewayTokens(public_keys, lambda: "")

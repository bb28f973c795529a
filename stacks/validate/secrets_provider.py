"""Who encrypts the secret values of a stack: `secretsprovider`, which `pulumi stack init` writes.

Pulumi itself notices a malformed key only when it calls the cloud, and then speaks of regions and accounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sizing.choices import valid_choices
from stacks.problems import Problem


@dataclass(frozen=True)
class KeyForm:
    """How the key of one provider is written."""

    pattern: re.Pattern[str]
    example: str


FORMS = {
    "awskms": KeyForm(
        re.compile(
            r"(alias/[\w/-]+|(mrk-)?[0-9a-f-]{32,36})\?(.+&)?region=[a-z0-9-]+(&.+)?"
            r"|/arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]+(\?.+)?"
        ),
        "awskms://alias/llm-platform?region=us-east-1",
    ),
    "gcpkms": KeyForm(
        re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+"),
        "gcpkms://projects/PROJECT/locations/us-central1/keyRings/RING/cryptoKeys/KEY",
    ),
    "azurekeyvault": KeyForm(
        re.compile(r"[A-Za-z0-9-]+\.vault\.[a-z.]+/keys/[A-Za-z0-9-]+(/[0-9a-f]{32})?"),
        "azurekeyvault://NAME.vault.azure.net/keys/KEY",
    ),
    "hashivault": KeyForm(re.compile(r"[\w.-]+(\?.+)?"), "hashivault://KEY"),
}
"""By the scheme of their addresses, as `pulumi stack init --help` of 3.259 shows them."""

WITHOUT_KEY = ("default", "passphrase")


def check_secrets_provider(value: object) -> Iterator[Problem]:
    """Problems of `secretsprovider`. Left out, the passphrase is meant, or what Pulumi Cloud keeps."""
    if value is None or value in WITHOUT_KEY:
        return
    path = "secretsprovider"
    scheme, separator, key = str(value).partition("://")
    if not separator or scheme not in FORMS:
        choices = valid_choices(scheme, [*WITHOUT_KEY, *(f"{known}://..." for known in FORMS)])
        yield Problem(path, f'"{value}" is no secrets provider: {choices}')
    elif FORMS[scheme].pattern.fullmatch(key) is None:
        yield Problem(
            path,
            f'"{value}" does not name a key. Write it like {FORMS[scheme].example}, by `pulumi stack '
            "change-secrets-provider` if values are encrypted already",
        )

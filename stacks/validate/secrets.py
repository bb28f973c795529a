"""Credentials in a stack file: it is committed, so whoever reads the repository has them.

Runs before everything else, on what was written and not on what it means: other messages show values.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.credentials import credential_in, credentials
from stacks.problems import Problem

REMEDY = (
    "it is not shown here, and must not be here. Take it out, revoke it (it may have been read or "
    "committed), and keep the new one where docs/secrets.md says"
)


def check_secrets(values: object) -> Iterator[Problem]:
    """A problem for each value and key that looks like a credential.

    Encrypted values (`secure:`) look like none: they are base64, which no shape fits.
    """
    for found in credentials(values):
        yield Problem(found.path, f"looks like {found.called}: {REMEDY}")


def check_text(text: str) -> Iterator[Problem]:
    """The same for the lines of a file, comments included, whatever they mean."""
    for number, line in enumerate(text.splitlines(), start=1):
        called = credential_in(line)
        if called is not None:
            yield Problem(f"line {number}", f"looks like {called}: {REMEDY}")

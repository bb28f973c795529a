"""`python -m stacks.commands.token key|mint <stack>`: keys and tokens of a stack's gateway, behind
`make key` and `make token`.

A token goes to standard output alone, so that it can be piped; everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.gateway.tokens import EVERY_MODEL, MAX_DAYS, Claims, TokenError, claims, mint
from stacks.config import Model, Stack
from stacks.load import from_file
from stacks.problems import StackError
from stacks.signing_keys import FOLDER_VARIABLE, KeyFileError, KeyFiles, key_files

DEFAULT_DAYS = 30
"""A month: a third of what is possible, and long enough that nobody renews it by hand every week."""


def rights(stack: Stack) -> tuple[str, ...]:
    """Every name that a token can list: models and adapters. An alias comes with its model."""
    return tuple(named.name for model in stack.models for named in (model, *model.adapters))


def mint_for(
    stack: Stack, files: KeyFiles, team: str, models: Sequence[str], life: timedelta
) -> tuple[str, Claims]:
    """A token for the gateway of `stack`, and what it says. models: empty for all that the stack has now.

    Raises TokenError or KeyFileError.
    """
    known = rights(stack)
    for name in models:
        _not_an_alias(name, stack.models)
    content = claims(team, files.stack, tuple(models) or known, known, life)
    signer = files.signing_key()
    if signer is None:
        kids = ", ".join(key.kid for key in files.public_keys())
        raise KeyFileError(
            f"no private half of the keys of {files.stack} ({kids}) is in {files.folder}: ask whoever has "
            f"one, or name its folder in {FOLDER_VARIABLE}; `make key STACK={files.stack}` makes another key"
        )
    return mint(signer, content), content


def _not_an_alias(name: str, models: Sequence[Model]) -> None:
    for model in models:
        if name in model.aliases:
            raise TokenError(
                f"models: {name} is another name of {model.name}, whose right covers it: name that"
            )


def main(arguments: Sequence[str], files_of: Callable[[str, Stack], KeyFiles] = key_files) -> int:
    """0: done. 1: not done, and nothing was changed. 2: a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m stacks.commands.token", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    key = commands.add_parser("key", help="make a key, or take one out of the JWKS")
    key.add_argument("stack")
    key.add_argument("--retire", metavar="KID", default="", help="take out this key instead")
    token = commands.add_parser("mint", help="sign a token")
    token.add_argument("stack")
    token.add_argument("--team", default="", help="whose token it is")
    token.add_argument(
        "--models",
        default="",
        help=f"names of models and adapters, with commas; '{EVERY_MODEL}' for all, also future ones "
        "(default: those that the stack has now)",
    )
    token.add_argument(
        "--days", default="", help=f"until it expires, 1 to {MAX_DAYS} (default: {DEFAULT_DAYS})"
    )
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        stack = from_file(options.stack)
        files = files_of(options.stack, stack)
        if options.command == "mint":
            _mint(stack, files, options, console)
        elif options.retire:
            _retire(files, options.retire, console)
        else:
            _make(files, console)
    except (StackError, KeyFileError, TokenError) as error:
        console.print(f"[red]error[/red]: {escape(str(error))}")
        return 1
    return 0


def _mint(stack: Stack, files: KeyFiles, options: argparse.Namespace, console: Console) -> None:
    if not options.team:
        raise TokenError(f"a token belongs to a team: make token STACK={files.stack} TEAM=search")
    models = [name.strip() for name in options.models.split(",") if name.strip()]
    token, content = mint_for(stack, files, options.team, models, timedelta(days=_days(options.days)))
    table = Table("claim", "value", title=f"Token for the gateway of {files.stack}", title_justify="left")
    for claim, value in (
        ("jti (to revoke it)", content.token_id),
        ("team", content.team),
        ("models", ", ".join(content.models)),
        ("expires", f"{content.expires_at:%Y-%m-%d %H:%M} UTC"),
    ):
        table.add_row(claim, value)
    console.print(table)
    print(token)


def _days(text: str) -> int:
    if not text:
        return DEFAULT_DAYS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_DAYS:
        raise TokenError(f"days {text!r}: must be a whole number from 1 to {MAX_DAYS}")
    return int(text)


def _make(files: KeyFiles, console: Console) -> None:
    key = files.create()
    before = files.public_keys()[:-1]
    console.print(f"key {key.kid}")
    console.print(f"  public half:  {files.jwks} (commit it; `pulumi up` brings it to the gateway)")
    console.print(
        f"  private half: {files.private_file(key.kid)} (no copy exists; whoever has it signs tokens)"
    )
    for old in before:
        console.print(
            f"  {old.kid} stays valid: retire it once no token of it is in use, {MAX_DAYS} days from now at "
            f"the latest: make key STACK={files.stack} RETIRE={old.kid}"
        )


def _retire(files: KeyFiles, kid: str, console: Console) -> None:
    files.retire(kid)
    console.print(f"{kid} is out of {files.jwks}: with the next `pulumi up` its tokens are refused")
    if files.private_file(kid).exists():
        console.print(f"  its private half is of no use then: rm {files.private_file(kid)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

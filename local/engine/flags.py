"""vLLM's command line: the flags of `vllm serve`, from a table that vLLM's own parser wrote.

The table (data/flags.json) says for every flag what kind of value it takes. An unknown flag or a value of the
wrong kind ends the program with status 2 and argparse's message, as it does with vLLM.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

DATA = Path(__file__).parent / "data"
FIRST = "0.32.0"
"""The release whose table is whole; that of a later one has only the rows that differ from it."""

DECIMAL_SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY_SUFFIXES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Flag:
    """One row of the table.

    kind: switch (--x and --no-x), set_true, integer, number, size (16k, 2M), size_or_auto, text or json.
    nargs: "+", "?" or None for one value.
    """

    options: tuple[str, ...]
    kind: str
    nargs: str | None = None
    choices: tuple[str, ...] | None = None
    append: bool = False


def table_file(release: str) -> Path:
    """Where the flags of a release of vLLM are kept."""
    return DATA / ("flags.json" if release == FIRST else f"flags-{release}.json")


def kept_rows(release: str) -> list[dict[str, Any]]:
    """The rows of a release's table. None of 0.32's flags is gone in 0.33."""
    rows = {row["options"][0]: row for row in _rows(FIRST)}
    if release != FIRST:
        rows |= {row["options"][0]: row for row in _rows(release)}
    return list(rows.values())


def _rows(release: str) -> list[dict[str, Any]]:
    return orjson.loads(table_file(release).read_bytes())["flags"]


def flag_table(release: str = FIRST) -> list[Flag]:
    return [
        Flag(
            options=tuple(row["options"]),
            kind=row["kind"],
            nargs=row.get("nargs"),
            choices=tuple(row["choices"]) if "choices" in row else None,
            append=row.get("append", False),
        )
        for row in kept_rows(release)
    ]


def size(value: str) -> int:
    """A whole number, with decimal suffixes (16k is 16,000) or binary ones (16K is 16,384). Raises
    ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", value.strip())
    if match is None:
        return int(value)
    number, suffix = match.groups()
    if suffix in DECIMAL_SUFFIXES:
        return int(float(number) * DECIMAL_SUFFIXES[suffix])
    if "." in number:
        raise argparse.ArgumentTypeError(
            f"Decimals are not allowed with binary suffixes like {suffix}. Did you mean to use "
            f"{number}{suffix.lower()} instead?"
        )
    return int(number) * BINARY_SUFFIXES[suffix]


def size_or_auto(value: str) -> int:
    """A size, or -1 for `auto`: as large as the memory allows."""
    return -1 if value.strip().lower() in ("-1", "auto") else size(value)


def json_value(value: str) -> object:
    return orjson.loads(value)


CONVERSIONS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "size": size,
    "size_or_auto": size_or_auto,
    "text": str,
    "json": json_value,
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of `vllm serve MODEL [flags]`. Values that were not given are None."""
    parser = argparse.ArgumentParser(
        prog="vllm serve",
        usage="vllm serve [model_tag] [options]",
        description="An emulator of vLLM's server: the same flags, explained in vLLM's manual.",
    )
    parser.add_argument("model_tag", nargs="?", help="Hugging Face id of the model")
    for flag in flag_table():
        if flag.kind == "switch":
            shown = [option for option in flag.options if not option.startswith("--no-")]
            parser.add_argument(*shown, action=argparse.BooleanOptionalAction, default=None)
        elif flag.kind == "set_true":
            parser.add_argument(*flag.options, action="store_true", default=None)
        elif flag.append:
            parser.add_argument(*flag.options, action="append", type=CONVERSIONS[flag.kind])
        else:
            parser.add_argument(
                *flag.options,
                type=CONVERSIONS[flag.kind],
                nargs=flag.nargs,
                choices=None if flag.choices is None else _typed(flag),
            )
    return parser


def _typed(flag: Flag) -> list[object]:
    """Choices as the parsed values they are compared with; vLLM spells an absent value None."""
    convert = CONVERSIONS[flag.kind]
    return [convert(choice) for choice in flag.choices or () if choice != "None"]


def spelled_as_vllm(arguments: Sequence[str]) -> list[str]:
    """Command line with the freedoms of vLLM's parser taken out.

    Underscores in names count as dashes, -O3 is --optimization-level 3, and --name.key value sets one key of
    a JSON flag.
    """
    spelled: list[str] = []
    nested: dict[str, dict[str, Any]] = {}
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if re.match(r"--?[a-zA-Z][^.]*\.", name):
            head, _, path = name.partition(".")
            given = value if equals else next(remaining, "")
            _set_nested(nested.setdefault(head.replace("_", "-"), {}), path.split("."), given)
        elif name.startswith("--"):
            spelled.append(name.replace("_", "-") + equals + value)
        elif re.fullmatch(r"-O=?\w+", argument):
            spelled += ["--optimization-level", argument.removeprefix("-O").removeprefix("=")]
        else:
            spelled.append(argument)
    for head, value in nested.items():
        spelled += [head, orjson.dumps(value).decode()]
    return spelled


def _set_nested(target: dict[str, Any], path: Sequence[str], text: str) -> None:
    for key in path[:-1]:
        target = target.setdefault(key, {})
    try:
        target[path[-1]] = orjson.loads(text)
    except orjson.JSONDecodeError:
        target[path[-1]] = text


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parsed flags. Raises SystemExit with status 2 on an unknown flag or a wrong value, after saying
    which."""
    return make_parser().parse_args(spelled_as_vllm(arguments))

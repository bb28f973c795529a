"""Runs inside vLLM's own environment: prints vLLM's serve flags, and what its parser says of command lines.

The comparison starts it by path with the other environment's interpreter, so it imports nothing from this
repository. Argument: the module that makes vLLM's parser, which moved in 0.33. Standard input: a JSON list of
command lines (each a list of strings). Standard output: one JSON document `{"flags", "verdicts"}`, where a
verdict is null for an accepted command line and the parser's complaint otherwise.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import sys

PROBES = ("12", "1.5", "1k", "auto", "None", '{"a": 1}', "word")
"""Values that tell the kinds of flag apart: what a flag's type function accepts is its kind."""

KINDS: dict[tuple[str, ...], str] = {
    ("12",): "integer",
    ("12", "None"): "integer",
    ("12", "1k"): "size",
    ("12", "1k", "None"): "size",
    ("12", "1k", "auto"): "size_or_auto",
    ("12", "1.5"): "number",
    ("12", "1.5", "None"): "number",
    PROBES: "text",
}
"""Anything else takes JSON, alone or beside plain words; the flag's own choices narrow the text kinds."""


def kind_of(action: argparse.Action) -> str:
    """The flag's kind, found by trying its type function on the probes."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs == 0:
        return "set_true"
    if action.type is None or action.type is str:
        return "text"
    accepted = []
    for probe in PROBES:
        try:
            action.type(probe)  # type: ignore[operator]
        except Exception:
            continue
        accepted.append(probe)
    return KINDS.get(tuple(accepted), "json_or_text" if "word" in accepted else "json")


def verdict(parser: argparse.ArgumentParser, command: list[str]) -> str | None:
    """Null when vLLM's parser accepts the command line, its complaint otherwise."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parser.parse_args(command)
    except SystemExit:
        return errors.getvalue().strip().splitlines()[-1]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    cli_args = importlib.import_module(sys.argv[1])
    parser = cli_args.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    flags = [
        {
            "options": list(action.option_strings),
            "kind": kind_of(action),
            "nargs": action.nargs if action.nargs in ("+", "?") else None,
            "choices": None if action.choices is None else [str(choice) for choice in action.choices],
            "append": type(action).__name__ == "_AppendAction",
        }
        for action in parser._actions
        if action.option_strings and "--help" not in action.option_strings
    ]
    document = {
        "flags": flags,
        "verdicts": [verdict(parser, command) for command in json.load(sys.stdin)],
    }
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()

"""`python -m local.engine.comparison.parser_names WHEEL`: the parsers of tools and thoughts that a vLLM has.

Reads the registries out of vLLM's wheel without installing it, and prints what
sizing/models/data/vllm_parsers.yaml holds under `tool_parsers` and `reasoning_parsers`.
"""

from __future__ import annotations

import ast
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import yaml

REGISTRIES: Mapping[str, tuple[str, str]] = {
    "tool_parsers": ("vllm/tool_parsers/__init__.py", "_TOOL_PARSERS_TO_REGISTER"),
    "reasoning_parsers": ("vllm/reasoning/__init__.py", "_REASONING_PARSERS_TO_REGISTER"),
}
"""File and variable of each registry in vLLM 0.32.0."""


def parser_names(wheel: Path) -> Mapping[str, list[str]]:
    """Names by registry, sorted. Raises LookupError if this vLLM keeps them elsewhere."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            key: sorted(_keys(archive.read(path).decode(), variable))
            for key, (path, variable) in REGISTRIES.items()
        }


def _keys(source: str, variable: str) -> list[str]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == variable for target in targets):
                return list(ast.literal_eval(statement.value or ast.Dict([], [])))
    raise LookupError(f"no dictionary {variable}: this vLLM registers its parsers elsewhere")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not zipfile.is_zipfile(arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    found = parser_names(Path(arguments[0]))
    print(yaml.safe_dump(dict(found), width=108, default_flow_style=None), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

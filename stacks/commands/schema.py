"""JSON schema of a stack file, for editors: completion, and a mistake underlined while it is typed.

`python -m stacks.commands.schema` writes stacks/schema.json from the models of stacks.config. An editor finds
it by the first line of a stack file: `# yaml-language-server: $schema=schema.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stacks.config import Stack
from stacks.load import PROJECT, STACKS

PATH = STACKS / "schema.json"

VERSION = 1
"""Goes up when a key is renamed, removed or changes its meaning; a new key that may be left out needs none.
plan-diff compares it: across two versions it says that figures may not be comparable."""


def schema() -> dict[str, object]:
    """The schema of a whole `Pulumi.<stack>.yaml`, whose keys carry the project's name."""
    described = Stack.model_json_schema(mode="validation")
    definitions = described.pop("$defs")
    properties = described.pop("properties")
    required = described.pop("required")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Stack file of {PROJECT}",
        "version": VERSION,
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "description": "settings of the stack; keys of other projects are theirs",
                "properties": {f"{PROJECT}:{name}": section for name, section in properties.items()},
                "required": [f"{PROJECT}:{name}" for name in required],
                # A key of this project that is not listed is a misspelt one.
                "propertyNames": {
                    "anyOf": [
                        {"enum": [f"{PROJECT}:{name}" for name in properties]},
                        {"not": {"pattern": f"^{PROJECT}:"}},
                    ]
                },
            }
        },
        "$defs": definitions,
    }


def rendered() -> str:
    """The text of stacks/schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


def main(path: Path) -> int:
    path.write_text(rendered(), encoding="utf-8")
    print(f"{path.name}: schema version {VERSION}")
    return 0


if __name__ == "__main__":
    sys.exit(main(PATH))

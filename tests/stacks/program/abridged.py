"""What an environment registers, as files that a person can review: golden files.

They leave out what is said elsewhere, and show it in full as soon as it is not the same any more:

- The text of a file of this repository that an object carries is a note with the file's name. The note stands
  for exactly that text; what changes in it shows in the file itself.
- The fingerprint in the names of a Job's run is written as zeros. It changes with everything that it is taken
  over, all of which is shown; that it does is tested where it is made. The checksum of a text in a ConfigMap
  is a note that it is the checksum of that text.
- JSON in an argument or variable is indented; Envoy's documents are files of their own, whichever way the
  program writes YAML; a board is one line for each panel and each query, in their order, without the rows of
  the grid: one panel more would change all that follow.

dump.py writes everything as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from stacks.load import STACKS
from tests.recording import Recording

ROOT = STACKS.parent
SHIPPED = ("*.lua", "*.sh", "*.py")
PRODUCT = ("serving", "dashboards", "infra")

FINGERPRINTED = re.compile(r"(verify|stage-.+|staging)-[0-9a-f]{10}")
"""Names of the objects of one run of a Job, and of the program that it runs."""

LONGEST_LINE_OF_JSON = 110
"""Characters from which JSON in a string is indented."""

Json = Any


def files(recording: Recording) -> dict[str, str]:
    """Texts by their path in a folder of golden files."""
    ordered = sorted(recording, key=lambda item: item.urn)
    manifests = [without_secrets(item.inputs) for item in ordered if "metadata" in item.inputs]
    stable = _stable_words(manifests)
    found = {"resources.txt": "".join(f"{line}\n" for line in _resources(recording, stable))}
    for manifest in (_replaced(manifest, stable) for manifest in manifests):
        stem = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}".removesuffix("-0000000000")
        if manifest["kind"] == "ConfigMap":
            texts = {key: _document(key, text) for key, text in manifest["data"].items()}
            own = {key: text for key, text in texts.items() if not text.startswith("(")}
            found |= {f"{stem}/{key}": text for key, text in own.items()}
            notes = {key: f"(file {stem}/{key})" if key in own else text for key, text in texts.items()}
            manifest = {**manifest, "data": notes}
        assert f"{stem}.yaml" not in found, f"two objects are called {stem}"
        found[f"{stem}.yaml"] = to_yaml(_with_readable_json(manifest))
    return found


def _resources(recording: Recording, stable: Mapping[str, str]) -> list[str]:
    """Pulumi's types and names: a resource whose name or parents change is replaced by the next update."""
    fingerprints = {name[-10:]: word[-10:] for name, word in stable.items() if FINGERPRINTED.fullmatch(name)}
    return sorted(
        re.sub(
            r"[0-9a-f]{10}$",
            lambda found: fingerprints.get(found[0], found[0]),
            resource.urn.split("::", 2)[2],
        )
        for resource in recording
    )


def without_secrets(inputs: Mapping[str, Json]) -> dict[str, Json]:
    """The inputs without what a Secret holds, which differs every time and belongs in no file."""
    return {**inputs, "data": "(secret)"} if inputs.get("kind") == "Secret" else dict(inputs)


def _stable_words(manifests: Sequence[Mapping[str, Json]]) -> dict[str, str]:
    """What is replaced wherever it is a whole string: fingerprinted names, and checksums of ConfigMaps.

    Names that differ stay different: several of one kind, such as the Jobs that stage two revisions of a
    model, are numbered in the order of `manifests`.
    """
    words: dict[str, str] = {}
    seen = Counter[str]()
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        found = FINGERPRINTED.fullmatch(name)
        if found is not None and name not in words:
            words[name] = f"{found[1]}-{seen[found[1]]:010}"
            seen[found[1]] += 1
        if manifest["kind"] == "ConfigMap":
            for key, text in manifest["data"].items():
                words[hashlib.sha256(text.encode()).hexdigest()] = f"(SHA-256 of {key} in {name})"
    return words


def _replaced(value: Json, words: Mapping[str, str]) -> Json:
    match value:
        case dict():
            return {key: _replaced(item, words) for key, item in value.items()}
        case list():
            return [_replaced(item, words) for item in value]
        case str():
            return words.get(value, value)
        case _:
            return value


def _document(key: str, text: str) -> str:
    """The text under one key of a ConfigMap: a note in brackets, or what its golden file holds."""
    shipped = _shipped().get(text)
    if shipped is not None:
        return f"(text of {shipped})"
    if key.endswith((".yaml", ".yml")):
        return to_yaml(_with_notes(yaml.load(text, Loader=yaml.CSafeLoader)), sort_keys=False)
    if key.endswith(".json") and "panels" in (board := json.loads(text)):
        return "".join(f"{line}\n" for line in _board_lines(board))
    return text


@cache
def _shipped() -> Mapping[str, str]:
    """Files of the product that objects may carry, by their text."""
    paths = sorted(path for root in PRODUCT for glob in SHIPPED for path in (ROOT / root).rglob(glob))
    return {path.read_text(encoding="utf-8"): path.name for path in paths}


def _with_notes(value: Json) -> Json:
    """An Envoy document with a note in place of each script that a file of ours holds."""
    match value:
        case dict():
            return {key: _with_notes(item) for key, item in value.items()}
        case list():
            return [_with_notes(item) for item in value]
        case str() if "\n" in value:
            for text, name in _shipped().items():
                if name.endswith(".lua"):
                    value = value.replace(text.rstrip(), f"-- (text of {name})")
            return value
        case _:
            return value


def _board_lines(board: Mapping[str, Json]) -> Iterator[str]:
    """A line for the board, one for each panel, and one for each of its queries: legend, then expression."""
    yield _line({key: value for key, value in board.items() if key != "panels"})
    for panel in board["panels"]:
        grid = {key: value for key, value in panel["gridPos"].items() if key != "y"}
        others = {key: value for key, value in panel.items() if key not in ("title", "targets")}
        yield ""
        yield f"{panel['title']}: {_line({**others, 'gridPos': grid})}"
        for target in panel.get("targets", []):
            rest = {key: value for key, value in target.items() if key not in ("expr", "legendFormat")}
            query = f"  {_line(target.get('legendFormat'))} {target.get('expr')}"
            yield f"{query} {_line(rest)}" if rest else query


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _with_readable_json(value: Json) -> Json:
    match value:
        case dict():
            return {key: _with_readable_json(item) for key, item in value.items()}
        case list():
            return [_with_readable_json(item) for item in value]
        case str() if value[:1] in ("{", "[") and len(value) > LONGEST_LINE_OF_JSON:
            try:
                return json.dumps(json.loads(value), indent=1, ensure_ascii=False) + "\n"
            except json.JSONDecodeError:
                return value
        case _:
            return value


class _Dumper(yaml.CSafeDumper):
    """Text of several lines as a block, so that a diff shows the line that changed; no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(value: Json, *, sort_keys: bool = True) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=sort_keys, width=110, allow_unicode=True)

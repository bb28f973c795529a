"""What changed: new inputs against the live object, looking only at fields that the program manages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from local.pulumi.provider.values import UNKNOWN

Path = tuple[str | int, ...]


class Change(Enum):
    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    path: Path
    change: Change


class _Missing(Enum):
    MISSING = "missing"


_MISSING: Final = _Missing.MISSING


def differences(new: Any, old: Any, live: Any) -> list[Difference]:
    """Differences between new inputs and the live object.

    Fields that appear in neither the new nor the old inputs belong to the server or to somebody else and are
    not compared. A value that the old inputs had, the new ones keep and the live object lacks is no
    difference if it is empty or zero: the server leaves such values out.
    """
    return list(_compare((), new, old, live))


def _compare(path: Path, new: Any, old: Any, live: Any) -> Iterator[Difference]:
    if new is _MISSING:
        if old is not _MISSING and live is not _MISSING:
            yield Difference(path, Change.DELETE)
    elif live is _MISSING:
        if not (_is_zero(new) and _equal(new, old)):
            yield Difference(path, Change.ADD)
    elif isinstance(new, dict) and isinstance(live, dict):
        before = old if isinstance(old, dict) else {}
        for key in {**new, **before}:
            values = (mapping.get(key, _MISSING) for mapping in (new, before, live))
            yield from _compare((*path, key), *values)
    elif isinstance(new, list) and isinstance(live, list):
        before = old if isinstance(old, list) else live
        # The server or an admission webhook may have appended elements; those are not the program's.
        managed = live[: len(before)]
        for index in range(max(len(new), len(managed))):
            values = (_at(items, index) for items in (new, before, managed))
            yield from _compare((*path, index), *values)
    elif new is UNKNOWN or not _equal(new, live):
        yield Difference(path, Change.UPDATE)


def _at(items: Sequence[Any], index: int) -> Any:
    return items[index] if index < len(items) else _MISSING


def _is_zero(value: Any) -> bool:
    return (
        value is None
        or value is False
        or value in ("", [], {})
        or (type(value) in (int, float) and value == 0)
    )


def _equal(one: Any, other: Any) -> bool:
    # In Python True == 1; in JSON it is another type.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def prune(live: Any, inputs: Any) -> Any:
    """The live object cut down to the fields that the inputs have: what a refresh saves as inputs."""
    if isinstance(live, dict) and isinstance(inputs, dict):
        return {key: prune(value, inputs[key]) for key, value in live.items() if key in inputs}
    if isinstance(live, list) and isinstance(inputs, list):
        return [prune(value, wanted) for value, wanted in zip(live, inputs, strict=False)]
    return live


def lookup(obj: Any, path: Path) -> tuple[Any, ...]:
    """The value at a path as a tuple of one, or an empty tuple if there is none."""
    if not path:
        return (obj,)
    step = path[0]
    if isinstance(obj, Mapping) and step in obj:
        return lookup(obj[step], path[1:])
    if isinstance(obj, list) and isinstance(step, int) and step < len(obj):
        return lookup(obj[step], path[1:])
    return ()


def format_path(path: Path) -> str:
    """A path as Pulumi writes it, such as `spec.ports[0].name` or `metadata.labels["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(character in step for character in '."[]'):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


def parse_path(text: str) -> Path:
    """The inverse of `format_path`, also for paths in Kubernetes' error messages. `*` stays a step of its
    own."""
    path: list[str | int] = []
    position = 0
    while position < len(text):
        if text[position] == "[":
            end = (
                text.index("]", position)
                if text[position + 1] != '"'
                else _closing_quote(text, position + 2) + 1
            )
            inside = text[position + 1 : end]
            if inside.startswith('"'):
                path.append(inside[1:-1].replace('\\"', '"'))
            else:
                path.append(int(inside) if inside.isdecimal() else inside)
            position = end + 1
        elif text[position] == ".":
            position += 1
        else:
            end = min(
                (at for at in (text.find(".", position), text.find("[", position)) if at >= 0),
                default=len(text),
            )
            path.append(text[position:end])
            position = end
    return tuple(path)


def _closing_quote(text: str, position: int) -> int:
    while text[position] != '"' or text[position - 1] == "\\":
        position += 1
    return position


def contains(pattern: Path, path: Path) -> bool:
    """Whether a path is the pattern or lies below it; `*` in the pattern stands for any one step."""
    return len(pattern) <= len(path) and all(
        wanted in ("*", step) for wanted, step in zip(pattern, path, strict=False)
    )

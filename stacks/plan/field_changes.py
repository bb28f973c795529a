"""What two stack files say differently, field by field: also what no figure of the plan shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from stacks.config import Stack
from stacks.config.effect import ineffective
from stacks.plan.change import (
    Change,
    Effect,
    Judged,
    less_is_gain,
    members_are_gain,
    more_is_gain,
    neutral,
    presence_is_gain,
)


def _capacity(before: object, after: object) -> Effect:
    """Spot machines are taken away at short notice: a loss where they come first or alone."""
    old, new = _texts(before), _texts(after)
    worse = (set(old) - set(new) - {"spot"}) or (new[:1] == ["spot"] and old[:1] != ["spot"])
    better = (set(new) - set(old) - {"spot"}) or (old[:1] == ["spot"] and new[:1] != ["spot"])
    return "loss" if worse else "gain" if better else ""


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


EFFECTS: tuple[tuple[str, Judged], ...] = (
    *(
        (f"models.*.{name}", more_is_gain)
        for name in (
            *("max_model_len", "max_output_tokens", "max_queued_requests", "drain_seconds", "replicas.min"),
            *("replicas.max", "warm_replicas", "sleep_after_seconds", "slo.*.objective", "slo.availability"),
        )
    ),
    ("models.*.slo.*.seconds", less_is_gain),
    ("models.*.fallback", presence_is_gain),
    *((f"models.*.{name}", members_are_gain) for name in ("aliases", "allowed_media_domains")),
    ("node_pools.*.capacity", _capacity),
    ("node_pools.*.machine_types", members_are_gain),
    *((f"node_pools.*.{name}", more_is_gain) for name in ("max_nodes", "min_nodes", "warm_nodes")),
    *(
        (f"gateway.{name}", more_is_gain)
        for name in (
            *("replicas", "max_request_mib", "rate_limit.requests_per_second", "rate_limit.burst"),
            *("rate_limit.share_of_model", "rate_limit.teams.*.requests_per_second"),
            "rate_limit.teams.*.burst",
        )
    ),
    ("gateway.cors.allowed_origins", members_are_gain),
    *((f"cluster.{name}", more_is_gain) for name in ("zones", "system_nodes.count")),
)
"""Fields whose direction is one for those who use or run the models; the first pattern that fits counts."""


def field_changes(before: Stack, after: Stack, renamed: Mapping[str, str]) -> list[Change]:
    """Fields that differ, except in models and pools that only one file has.

    renamed: models by the name that they had before; compared under the new one.
    """
    old, new = _fields(before, renamed), _fields(after, {})
    skipped = _only_in_one(old, new)
    if before.cluster.provider != after.cluster.provider:
        # Nearly every key of the section differs with it, and says nothing beside it.
        skipped.add("cluster")
    idle = {field.path for field in ineffective(after)} | {field.path for field in ineffective(before)}
    places = {**_places(before, renamed), **_places(after, {})}
    changes: list[Change] = []
    for path in [*new, *(path for path in old if path not in new)]:
        inside = any(path == prefix or path.startswith(f"{prefix}.") for prefix in skipped)
        if inside or old.get(path) == new.get(path):
            continue
        was, now = old.get(path), new.get(path)
        without_effect = any(_is_within(_indexed(path, places), field) for field in idle)
        effect = "no effect" if without_effect else _effect(path, was, now, path in old, path in new)
        changes.append(Change(*_subject(path), _shown(was), _shown(now), effect))
    return changes


def _effect(path: str, was: object, now: object, was_there: bool, is_there: bool) -> Effect:
    if path.split(".")[-2:-1] == ["adapters"] or fnmatchcase(path, "models.*.adapters.*"):
        return "" if was_there and is_there else "gain" if is_there else "loss"
    for pattern, judged in EFFECTS:
        if fnmatchcase(path, pattern):
            return judged(was, now)
    return neutral(was, now)


def _only_in_one(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    """Models and pools, as prefixes of paths. A section that only one file has at all is compared."""
    names = [
        {".".join(path.split(".")[:2]) for path in fields if path.startswith(("models.", "node_pools."))}
        for fields in (old, new)
    ]
    return names[0] ^ names[1]


def _fields(stack: Stack, renamed: Mapping[str, str]) -> dict[str, object]:
    """Each value by its path; entries of lists that have a name are found by it: `models.chat.engine`."""
    return dict(_leaves(stack.model_dump(mode="json"), "", renamed))


def _leaves(value: object, path: str, renamed: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    match value:
        case dict() if value:
            for key, part in value.items():
                if not (key == "name" and path.startswith(("models.", "node_pools."))):
                    yield from _leaves(part, f"{path}.{key}" if path else str(key), renamed)
        case [dict(), *_]:
            for index, part in enumerate(value):
                name = str(part.get("name", part.get("machine_type", index)))
                name = renamed.get(name, name) if path == "models" else name
                yield from _leaves(part, f"{path}.{name}", renamed)
        case None | [] | {}:
            pass
        case _:
            yield path, value


def _places(stack: Stack, renamed: Mapping[str, str]) -> dict[str, str]:
    """Where entries that are found by name stand in the file: `models[0]` by `models.chat`."""
    return {
        **{
            f"models.{renamed.get(model.name, model.name)}": f"models[{index}]"
            for index, model in enumerate(stack.models)
        },
        **{f"node_pools.{pool.name}": f"node_pools[{index}]" for index, pool in enumerate(stack.node_pools)},
    }


def _indexed(path: str, places: Mapping[str, str]) -> str:
    entry = ".".join(path.split(".")[:2])
    return places.get(entry, entry) + path[len(entry) :]


def _is_within(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))


def _subject(path: str) -> tuple[str, str]:
    """Whose field it is, and what it is called there."""
    section, _, rest = path.partition(".")
    if section in ("models", "node_pools"):
        name, _, field = rest.partition(".")
        return (name if section == "models" else f"pool {name}", field)
    return section, rest or section


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(map(str, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)

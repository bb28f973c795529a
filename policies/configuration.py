"""The file that `--policy-pack-config` names: levels, settings and waivers of rules, for one environment."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizing.choices import valid_choices

LEVELS = ("advisory", "mandatory", "disabled")

ALL = "all"
"""Entry for every rule that has none of its own."""


class ConfigurationError(ValueError):
    """The file does not say what it should; the message names the file and the place."""


@dataclass(frozen=True)
class RuleConfiguration:
    """What the file says about one rule. level: None leaves the rule's own."""

    level: str | None
    settings: Mapping[str, Any]


NOTHING = RuleConfiguration(level=None, settings={})


def read_configuration(path: Path, rules: Collection[str]) -> Mapping[str, RuleConfiguration]:
    """Configuration by rule, an entry `all` included. Raises ConfigurationError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path.name}: there is no such file: {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f'{path.name}: must be an object such as {{"GPU-001": "advisory"}}')
    found = {}
    for rule, value in document.items():
        if rule != ALL and rule not in rules:
            raise ConfigurationError(f"{path.name}: no rule {rule}: {valid_choices(rule, [ALL, *rules])}")
        entry = {"enforcementLevel": value} if isinstance(value, str) else value
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{path.name}: {rule}: must be a level or an object of settings")
        level = entry.get("enforcementLevel")
        if level is not None and level not in LEVELS:
            raise ConfigurationError(
                f"{path.name}: {rule}.enforcementLevel: {valid_choices(str(level), LEVELS)}"
            )
        settings = {key: setting for key, setting in entry.items() if key != "enforcementLevel"}
        found[rule] = RuleConfiguration(level, settings)
    return found

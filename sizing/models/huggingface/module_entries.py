"""Entries of lists that name modules: which modules each of them means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sizing.models.architecture import Held
from sizing.models.huggingface.fields import ConfigError


@dataclass(frozen=True)
class Entry:
    """One entry. field: where it stands, for messages. pattern: whether it is one, or a plain name."""

    field: str
    text: str
    pattern: bool
    means: Callable[[str], bool]

    def matches(self, names: Sequence[str], stacked: Sequence[str]) -> bool:
        """Whether it means a module with these names, which engines hold in another with the names `stacked`.
        A pattern has to write the latter's name out: `re:.*up_proj` does not mean gate_up_proj."""
        if any(self.means(name) for name in names):
            return True
        if not stacked or (self.pattern and stacked[0].rpartition(".")[2] not in self.text):
            return False
        return any(self.means(name) for name in stacked)


@dataclass(frozen=True)
class Override:
    """Modules that are held in another way than the rest."""

    entry: Entry
    held: Held


def exception(field: str, text: str) -> Entry:
    """An entry of a list of exceptions: a regular expression after `re:`, a shell pattern, or whole words of
    the name between dots, so that the name of a part of the model means all in it."""
    if text.startswith("re:"):
        return expression(field, text, text.removeprefix("re:"), re.match)
    if "*" in text or "?" in text:
        return _shell(field, text)
    inner = f".{text.strip('.')}."
    return Entry(field, text, False, lambda name: inner in f".{name}.")


def fragment(field: str, text: str) -> Entry:
    """The same, where an entry without a pattern means each name that has it anywhere: so vLLM 0.32 reads
    lists of AWQ and ModelOpt files. It asks for a layer's experts under one name: `gate` does not mean
    their projections."""
    if text.startswith("re:") or "*" in text or "?" in text:
        return exception(field, text)

    def means(name: str) -> bool:
        before, experts, _ = name.partition(".experts")
        return text in before + experts or (text in name and "expert" in text)

    return Entry(field, text, False, means)


def target(field: str, text: str) -> Entry:
    """An entry that says what is quantised: a regular expression after `re:`, a shell pattern, or a name."""
    if text.startswith("re:"):
        return expression(field, text, text.removeprefix("re:"), re.match)
    if "*" in text or "?" in text:
        return _shell(field, text)
    return Entry(field, text, False, lambda name: name == text or name.startswith(f"{text}."))


def expression(
    field: str,
    text: str,
    pattern: str,
    find: Callable[[re.Pattern[str], str], re.Match[str] | None],
) -> Entry:
    """An entry that is a regular expression. Raises ConfigError if it is none."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f'{field}: "{text}" is no regular expression: {error}') from None
    return Entry(field, text, True, lambda name: find(compiled, name) is not None)


def _shell(field: str, text: str) -> Entry:
    # A pattern that ends with a part of the model means all in it.
    pattern = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".") + r"(\..*)?"
    return expression(field, text, pattern, re.fullmatch)

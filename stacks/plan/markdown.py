"""Markdown that values of a stack file cannot break out of: whoever opens a pull request writes them."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_CODE = 400
"""Characters of one value or message that are shown: the longest of our own messages have about 350."""


def code(text: object) -> str:
    """`text` as one code span: no HTML, link, image or @mention in it means anything.

    What would end the span, a table's cell or the line is replaced: backquotes, bars, and every character
    that is not printed, such as line breaks and marks that turn the direction of writing.
    """
    shown = str(text).replace("`", "'").replace("|", "¦")
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in shown
    )
    if len(shown) > LONGEST_CODE:
        shown = f"{shown[: LONGEST_CODE - 3]}..."
    return f"`{shown.strip() or ' '}`"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are ours or made with `code`."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def folded(title: str, body: str) -> str:
    """`body` behind a line that opens it. `title` is shown as it is: it must be ours."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"

"""Values that a stranger writes, in a table of a pull request's summary."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from stacks.plan.markdown import code, table

HOSTILE = [
    "a | b",
    "a \\| b",
    "ends with \\",
    "`code` and ``more``",
    "```",
    "</code></details><img src=x onerror=alert(1)>",
    "<!-- the rest of the summary",
    "@platform/owners #1 http://example.com www.example.com",
    "[link](javascript:alert(1)) ![image](http://example.com/x.png)",
    "line\nbreak\r\n\n# heading",
    "\u202egnp.exe",
    "   ",
    "",
    "**bold** ~~gone~~",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_one_code_span_in_one_cell(value: str):
    page = MarkdownIt("gfm-like", {"linkify": False}).render(table(("what", "now"), [[code(value), "after"]]))
    assert page.count("<td>") == 2
    assert page.count("<code>") == 1
    assert "<td>after</td>" in page
    for tag in ("<a", "<img", "<h1", "<details", "<strong", "<s>"):
        assert tag not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain 1.5", "`plain 1.5`"),
        ("a | `b`", "`a ¦ 'b'`"),
        ("two\nlines", "`two\\nlines`"),
        ("\u202eabc", "`\\u202eabc`"),
        (" ", "` `"),
        # 397 characters and three dots.
        ("x" * 401, f"`{'x' * 397}...`"),
    ],
)
def test_what_is_shown(value: str, shown: str):
    assert code(value) == shown

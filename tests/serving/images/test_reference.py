"""Names of images, read as container runtimes read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.images.pinned import IMAGES
from serving.images.reference import ImageReference, read_reference

DIGEST = f"sha256:{'0' * 63}f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", ImageReference("docker.io", "library/python", None, None)),
        ("python:3.13-slim", ImageReference("docker.io", "library/python", "3.13-slim", None)),
        (f"vllm/vllm-openai@{DIGEST}", ImageReference("docker.io", "vllm/vllm-openai", None, DIGEST)),
        ("index.docker.io/a/b:c", ImageReference("docker.io", "a/b", "c", None)),
        ("localhost/a:b", ImageReference("localhost", "a", "b", None)),
        (f"registry:5000/a/b:c@{DIGEST}", ImageReference("registry:5000", "a/b", "c", DIGEST)),
        ("registry.k8s.io/pause:3.10.1", ImageReference("registry.k8s.io", "pause", "3.10.1", None)),
    ],
)
def test_names(text, expected):
    assert read_reference(text) == expected


@pytest.mark.parametrize("digest", ["sha256:", f"sha256:{'0' * 63}", f"sha256:{'G' * 64}", "md5:0", "latest"])
def test_only_a_whole_digest_pins(digest):
    assert not read_reference(f"python@{digest}").pinned
    assert read_reference(f"python@{DIGEST}").pinned


@given(st.text(max_size=40))
def test_any_text_is_read(text):
    assert isinstance(read_reference(text), ImageReference)


def test_a_row_of_the_table_is_pinned_exactly_if_it_has_a_digest():
    for row in IMAGES.values():
        assert read_reference(row.reference).pinned == (row.digest is not None)
        assert read_reference(row.reference).tag == row.tag

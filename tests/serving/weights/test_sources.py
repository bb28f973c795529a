from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.weights.layout import ADAPTERS_PATH, adapter_folder, adapter_path
from serving.weights.sources import Claim, Hub, Image, ObjectStore, Source, SourceError, Weights, parse

MODEL = "Qwen/Qwen3-8B"
REVISION = "b968826d9c46dd6066d109eabc6255188de91218"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("weights", "source"),
    [
        ("hub", Hub(MODEL, REVISION)),
        ("s3://models/qwen/8b", ObjectStore("s3", "models", "qwen/8b")),
        ("gs://models.example/qwen/", ObjectStore("gs", "models.example", "qwen")),
        ("pvc://models", Claim("models", "")),
        ("pvc://models/qwen/8b", Claim("models", "qwen/8b")),
        (f"oci://registry.example/qwen@{DIGEST}", Image(f"registry.example/qwen@{DIGEST}")),
    ],
)
def test_every_form(weights: str, source: Source):
    assert parse(weights, MODEL, REVISION) == source


@pytest.mark.parametrize(
    "weights",
    [
        "https://example.com/model",
        "s3://models",
        "s3://models/a/../b",
        "gs://models/a//b",
        "pvc://Models",
        "pvc://models/../other",
        "oci://registry.example/qwen:latest",
        "oci://registry.example/qwen@sha256:short",
        "",
    ],
)
def test_what_is_not_pinned_or_leaves_its_folder_is_refused_in_one_line(weights: str):
    with pytest.raises(SourceError) as caught:
        parse(weights, MODEL, REVISION)
    assert weights in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_hub_needs_a_commit():
    with pytest.raises(SourceError, match="needs a revision"):
        parse("hub", MODEL, None)


def test_a_source_is_written_as_it_was_read():
    for text in (
        "s3://models/qwen",
        "pvc://models",
        "pvc://models/qwen",
        f"oci://registry.example/q@{DIGEST}",
    ):
        assert str(parse(text, MODEL, None)) == text


def test_names_tell_models_and_what_pins_them():
    assert Weights("chat", Hub(MODEL, REVISION)).name == "weights-chat-b968826d"
    stores = [Weights("chat", ObjectStore("s3", "models", folder)).name for folder in ("a", "b")]
    assert len(set(stores)) == 2
    assert all(len(Weights("a" * 40, Hub(MODEL, REVISION)).name) <= 63 for _ in stores)


@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?", fullmatch=True), min_size=2, unique=True
    )
)
def test_no_adapter_leaves_its_folder_or_takes_anothers(names: list[str]):
    folders = [adapter_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(folder.rpartition("/")[0] == ADAPTERS_PATH for folder in folders)


@given(st.lists(st.tuples(st.sampled_from(["a", "a/b", "../x", "."]), st.text(max_size=8)), unique=True))
def test_no_two_revisions_of_an_adapter_share_a_folder(revisions: list[tuple[str, str]]):
    paths = [adapter_path("polite", source, revision) for source, revision in revisions]
    assert len(set(paths)) == len(revisions)
    assert all(re.fullmatch(r"/weights/adapters/polite/[0-9a-f]{12}", path) for path in paths)

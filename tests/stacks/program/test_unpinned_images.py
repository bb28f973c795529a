"""Images without a digest stop a cloud and nothing else."""

from __future__ import annotations

from datetime import date

import pytest

from serving.images.pinned import Image, Unresolved
from stacks.load import parse
from stacks.program.unpinned_images import unpinned_images
from tests.stacks.environments import aws_values, local_values

DIGEST = f"sha256:{'0' * 64}"


def row(name: str, digest: str | None) -> Image:
    waiver = None if digest else Unresolved("no registry could be reached", date(9999, 12, 31))
    return Image(name, f"example/{name}", "1.0", digest, date(2026, 11, 24), "a test", waiver)


PINNED, UNPINNED = row("pinned", DIGEST), row("unpinned", None)


def test_the_local_cluster_takes_any_image():
    assert unpinned_images(parse(local_values(), "test").cluster, [PINNED, UNPINNED]) == []


def test_a_cloud_takes_pinned_images_only():
    cluster = parse(aws_values(), "test").cluster
    assert unpinned_images(cluster, [PINNED]) == []
    (problem,) = unpinned_images(cluster, [PINNED, UNPINNED])
    assert str(problem).startswith(
        "serving/images/data/images.yaml: unpinned: example/unpinned:1.0 has no digest"
    )
    assert "aws" in problem.message
    assert "make pin-images" in problem.message


@pytest.mark.parametrize(
    ("digest", "waiver"), [(DIGEST, Unresolved("not needed", date(2027, 1, 1))), (None, None)]
)
def test_a_row_has_a_digest_or_a_waiver(digest, waiver):
    with pytest.raises(ValueError, match=r"images\.yaml: both: a row has either a digest or a waiver"):
        Image("both", "example/both", "1.0", digest, date(2026, 11, 24), "a test", waiver)

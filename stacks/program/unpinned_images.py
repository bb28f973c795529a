"""What keeps a cloud from being brought up although `make check` passes: images without a digest."""

from __future__ import annotations

from collections.abc import Iterable

from serving.images.pinned import Image
from stacks.config import Cluster
from stacks.problems import Problem


def unpinned_images(cluster: Cluster, images: Iterable[Image]) -> list[Problem]:
    """A problem for each image without a digest, unless the cluster pulls none.

    The local cluster imitates its containers and pulls nothing. Anywhere else a tag is what its registry says
    on the day of the pull: whoever can move it runs code beside the models.
    """
    if not cluster.pulls_images:
        return []
    return [
        Problem(
            f"serving/images/data/images.yaml: {image.name}",
            f"{image.reference} has no digest, and clusters of {cluster.provider} run only images that have "
            "one: run `make pin-images` where the registry can be reached and commit what it writes",
        )
        for image in images
        if image.digest is None
    ]

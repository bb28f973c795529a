"""What can be planned and not be built: said before anything is registered, as pulumi.RunError."""

from __future__ import annotations

import pulumi

from serving.images.pinned import IMAGES
from sizing.models.models import is_config_path
from stacks.config import Cluster, LocalCluster, Stack
from stacks.plan.sizing import ROOT
from stacks.program.unpinned_images import unpinned_images


def local_cluster(cluster: Cluster) -> LocalCluster:
    """The cluster, if it is one that can be built."""
    if isinstance(cluster, LocalCluster):
        return cluster
    reasons = [
        f"cluster.provider: {cluster.provider} can be planned (`make plan`) but not built yet: only local "
        "clusters can. Nothing was changed",
        *map(str, unpinned_images(cluster, IMAGES.values())),
    ]
    raise pulumi.RunError("\n".join(reasons))


def check_models(stack: Stack) -> None:
    """Models that can be planned only are refused."""
    for index, model in enumerate(stack.models):
        if is_config_path(str(ROOT / model.model)):
            raise pulumi.RunError(
                f"models[{index}].model: {model.model} is enough to plan the model (`make plan`), but "
                "engines load it by its Hugging Face id: add a row to sizing/models/data/models.yaml and "
                "name that. Nothing was changed"
            )

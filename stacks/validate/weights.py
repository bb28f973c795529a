"""Rules of where the weights of a model come from."""

from __future__ import annotations

from collections.abc import Iterator

from serving.weights.sources import HUB, Claim, Hub, SourceError, parse
from sizing.models.models import is_config_path
from stacks.config import Cluster, Model
from stacks.problems import Problem


def check_weights(path: str, model: Model, cluster: Cluster) -> Iterator[Problem]:
    if model.weights == HUB and (model.revision is None or is_config_path(model.model)):
        return  # said elsewhere: the hub needs a commit, and a config.json is for planning only
    try:
        source = parse(model.weights, model.model, model.revision)
    except SourceError as error:
        yield Problem(f"{path}.weights", str(error))
        return
    if not cluster.has_stores and not isinstance(source, Hub | Claim):
        yield Problem(
            f"{path}.weights",
            f'"{model.weights}" is not possible on a {cluster.provider} cluster, which has neither buckets '
            "nor a registry: use hub or pvc://",
        )

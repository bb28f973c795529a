"""Rules of `gateway`: what the cluster must have for it."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config import Cluster, Gateway
from stacks.problems import Problem


def check_gateway(gateway: Gateway, cluster: Cluster) -> Iterator[Problem]:
    if gateway.public is not None and not cluster.has_public_entrance:
        yield Problem(
            "gateway.public",
            f"{gateway.public.hostname} is not possible: a {cluster.provider} cluster cannot be reached from "
            "the internet. Remove gateway.public",
        )
    if gateway.backend == "inference_pool" and not cluster.has_inference_gateway:
        yield Problem(
            "gateway.backend",
            f"inference_pool is not possible: a {cluster.provider} cluster has no Gateway API inference "
            "gateway. Use envoy",
        )

"""Pieces of Pulumi programs that the tests put together. Each is Python source."""

from __future__ import annotations

from collections.abc import Mapping

NAMESPACE = """
team = k8s.core.v1.Namespace("team", metadata={"name": namespace}, opts=options())
here = team.metadata["name"]
"""

NOWHERE = {"llm-platform/no-such-node": "true"}
"""A node selector that no node satisfies: the pods stay Pending, whatever else runs in the cluster."""


def workload(
    replicas: int = 1,
    label: str = "web",
    selector: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> str:
    """Deployment `web` of pods that run as soon as they have a node. Some fields read differently on the
    server: 1000m becomes 1, and an empty node selector goes."""
    return f"""
labels = {{"app": {label!r}}}
container = {{"name": "main", "image": "busybox:1", "resources": {{"requests": {{"cpu": "1000m"}}}}}}
web = k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", "namespace": here, "annotations": {annotations!r}}},
    spec={{
        "replicas": {replicas},
        "selector": {{"matchLabels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{"nodeSelector": {selector or {}!r}, "containers": [container]}},
        }},
    }},
    opts=options(),
)
"""


def job(
    image: str = "busybox:1",
    selector: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **fields: int,
) -> str:
    """Job `once` of one pod; `fields` go into its spec."""
    return f"""
once = k8s.batch.v1.Job(
    "once",
    metadata={{"name": "once", "namespace": here, "annotations": {annotations!r}}},
    spec={{
        "template": {{
            "spec": {{
                "restartPolicy": "Never",
                "nodeSelector": {selector or {}!r},
                "containers": [{{"name": "main", "image": {image!r}}}],
            }}
        }},
        **{fields!r},
    }},
    opts=options(),
)
"""


def config_map(name: str, data: Mapping[str, str], *, metadata: str = "{}", options: str = "") -> str:
    """A ConfigMap; without a name in `metadata` Pulumi names it. `options` are arguments of the options."""
    return f"""
k8s.core.v1.ConfigMap(
    {name!r}, metadata={{"namespace": here, **{metadata}}}, data={data!r}, opts=options({options})
)
"""

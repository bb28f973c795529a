"""Pieces of Pulumi programs that the tests put together."""

from __future__ import annotations

NAMESPACE = """
team = k8s.core.v1.Namespace("team", metadata={"name": namespace}, opts=options())
here = team.metadata["name"]
"""


NOWHERE = '{"llm-platform/no-such-node": "true"}'
"""A node selector that no node satisfies: the pods stay Pending, whatever else runs in the cluster."""


def workload(replicas: int = 1, selector: str = "{}", annotations: str = "{}", label: str = "web") -> str:
    return f"""
labels = {{"app": "{label}"}}
web = k8s.apps.v1.Deployment(
    "web",
    metadata={{"name": "web", "namespace": here, "annotations": {annotations}}},
    spec={{
        "replicas": {replicas},
        "selector": {{"matchLabels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{
                "nodeSelector": {selector},
                "containers": [{{"name": "main", "image": "busybox:1", "resources": {{"requests": {{"cpu": "1000m"}}}}}}],
            }},
        }},
    }},
    opts=options(),
)
"""


def job(body: str, name: str = "once") -> str:
    return f"""
{name} = k8s.batch.v1.Job(
    "{name}",
    metadata={{"name": "{name}", "namespace": here}},
    spec={{
        {body}
        "template": {{"spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox:1"}}]}}}},
    }},
    opts=options(),
)
"""

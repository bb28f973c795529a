"""Another revision of a model, from its first request to its last or back, without a failed one.

As in test_leaving.py: official clients through the load balancer, without their
retries, while endpoints are sent to for 5 s after they have left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.local.on_cluster.clients import traffic
from tests.local.on_cluster.deployment import Deployed
from tests.local.on_cluster.environment import answering, chat_alone

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

USERS = 6
NEXT = "0123456789abcdef0123456789abcdef01234567"


def values(revision: str | None = None, canary: dict[str, Any] | None = None) -> dict[str, Any]:
    """`chat` alone, of some revision, with or without a canary."""
    found = chat_alone()
    if revision is not None:
        found["models"][0]["revision"] = revision
    if canary is not None:
        found["models"][0]["canary"] = canary
    return found


@pytest.fixture
def platform(cluster: Cluster) -> Iterator[Deployed]:
    with answering(cluster, values()) as found:
        yield found


def served(platform: Deployed, service: str) -> int:
    """Requests that the replicas of `service` have finished."""
    from local.fleet.ports import ADDRESS_ANNOTATION

    total = 0
    for pod in platform.ready("inference", service):
        address = pod["metadata"]["annotations"][ADDRESS_ANNOTATION]
        text = httpx.get(f"http://{address}/metrics", timeout=5).text
        lines = (line for line in text.splitlines() if line.startswith("vllm:request_success_total{"))
        total += sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)
    return total


def remove_canary(platform: Deployed) -> None:
    """What an update without `canary` does at its end: Pulumi deletes last."""
    for kind in ("deployment", "service"):
        platform.cluster.kubectl("delete", kind, "chat-canary", "-n", "inference", "--wait=false")
    platform.until(lambda: not platform.pods("inference", "chat-canary"), "the canary gone")


def test_from_a_canary_to_every_request_to_the_new_revision(platform: Deployed):
    with traffic(platform.gateway(), "chat", USERS) as seen:
        platform.until(lambda: seen.finished >= USERS, "a reply for every user")
        platform.apply(values(canary={"revision": NEXT, "weight": 30}))
        platform.wait_ready("inference", "chat-canary", 1)
        platform.until(lambda: served(platform, "chat-canary") >= 3, "requests to the canary")
        platform.apply(values(canary={"revision": NEXT, "weight": 100}))
        alone = served(platform, "chat-canary")
        platform.until(lambda: served(platform, "chat-canary") >= alone + 2 * USERS, "all to the canary")
        # Promoted: the model itself is of the new revision, and the canary is no more.
        old = {pod["metadata"]["uid"] for pod in platform.pods("inference", "chat")}
        platform.apply(values(revision=NEXT))
        platform.until(
            lambda: old.isdisjoint(pod["metadata"]["uid"] for pod in platform.pods("inference", "chat")),
            "the model rolled to the new revision",
        )
        remove_canary(platform)
        before = seen.finished
        platform.until(lambda: seen.finished >= before + USERS, "replies after the promotion")
    assert seen.failures == []


def test_back_from_a_canary_that_has_every_request(platform: Deployed):
    with traffic(platform.gateway(), "chat", USERS) as seen:
        platform.apply(values(canary={"revision": NEXT, "weight": 100}))
        platform.wait_ready("inference", "chat-canary", 1)
        platform.until(lambda: served(platform, "chat-canary") >= USERS, "requests to the canary")
        platform.apply(values())
        remove_canary(platform)
        before = seen.finished
        platform.until(lambda: seen.finished >= before + USERS, "replies of the revision before")
    assert seen.failures == []

"""Nothing that leaves or changes costs a request: engines, gateway and configuration under live streams.

Through the load balancer, with the official client and without its retries, while the fleet goes on sending
to an endpoint for 5 s after it has left, as DNS does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.on_cluster.clients import Traffic, traffic
from tests.local.on_cluster.deployment import Deployed
from tests.local.on_cluster.environment import answering, chat_alone

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

USERS = 6


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[Deployed]:
    with answering(cluster, chat_alone()) as found:
        yield found


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def wait_replaced(platform: Deployed, namespace: str, name: str, old: set[str]) -> None:
    platform.until(lambda: uids(platform.pods(namespace, name)).isdisjoint(old), f"{name} replaced")
    platform.wait_ready(namespace, name, 1)


def under_traffic(platform: Deployed, change: Callable[[], None]) -> Traffic:
    """Makes the change while users stream, and checks that they did and that none of them noticed."""
    with traffic(platform.gateway(), "chat", USERS) as seen:
        platform.until(lambda: seen.finished >= USERS, "a reply for every user")
        assert seen.in_flight == USERS
        change()
        before = seen.finished
        platform.until(lambda: seen.finished >= before + USERS, "replies after the change")
    assert seen.failures == []
    return seen


def test_engines_leave_without_a_failed_request(platform: Deployed):
    platform.scale("inference", "chat", 3)
    platform.wait_ready("inference", "chat", 3)

    def scale_in() -> None:
        platform.scale("inference", "chat", 1)
        platform.wait_ready("inference", "chat", 1)

    under_traffic(platform, scale_in)


def test_a_rolling_restart_of_engines_and_of_the_gateway_fails_no_request(platform: Deployed):
    before = {name: uids(platform.pods(*name)) for name in (("inference", "chat"), ("gateway", "gateway"))}

    def restart() -> None:
        for namespace, name in before:
            platform.restart(namespace, name)
        for (namespace, name), old in before.items():
            wait_replaced(platform, namespace, name, old)

    under_traffic(platform, restart)


def test_adding_a_model_restarts_nothing(platform: Deployed):
    names = (("inference", "chat"), ("gateway", "gateway"))
    before = [uids(platform.pods(*name)) for name in names]
    added = chat_alone()
    added["models"].append({**added["models"][0], "name": "added"})

    def add() -> None:
        platform.apply(added)
        platform.wait_ready("inference", "added", 1)

    under_traffic(platform, add)
    with traffic(platform.gateway(), "added", users=1) as seen:
        platform.until(lambda: seen.finished > 0, "a reply of the added model")
    assert [uids(platform.pods(*name)) for name in names] == before
    for namespace, name in names:
        for pod in platform.pods(namespace, name):
            assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]

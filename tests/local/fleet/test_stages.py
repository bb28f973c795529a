from __future__ import annotations

from typing import Any

from local.fleet.stages import fleet_pattern, stages


def requirements(stage: dict[str, Any]) -> list[dict[str, Any]]:
    return stage["spec"]["selector"]["matchExpressions"]


def test_all_stages_that_kwok_needs_are_there() -> None:
    names = [stage["metadata"]["name"] for stage in stages()]
    assert names == [
        "node-initialize",
        "node-heartbeat-with-lease",
        "pod-ready",
        "pod-complete",
        "pod-delete",
    ]


def test_every_pod_stage_and_no_node_stage_leaves_the_fleets_images_alone() -> None:
    for stage in stages():
        excluded = [item for item in requirements(stage) if "image" in item["key"]]
        if stage["spec"]["resourceRef"]["kind"] == "Node":
            assert not excluded
        else:
            assert [item["operator"] for item in excluded] == ["NotIn"]
            assert fleet_pattern().replace("\\", "\\\\") in excluded[0]["key"]


def test_a_stage_either_deletes_or_sets_a_status() -> None:
    for stage in stages():
        following = stage["spec"]["next"]
        assert set(following) == (
            {"delete"} if stage["metadata"]["name"] == "pod-delete" else {"statusTemplate"}
        )

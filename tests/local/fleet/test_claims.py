from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.fleet.api import ApiError
from local.fleet.claims import ClaimProvisioner, folder, is_released, is_waiting, volume_of
from local.fleet.kube import PersistentVolume, PersistentVolumeClaim
from local.fleet.references import references
from tests.local.fleet.conftest import MakePod


def claim(uid: str = "u1", **spec: Any) -> PersistentVolumeClaim:
    return PersistentVolumeClaim.model_validate(
        {
            "metadata": {"name": "weights", "namespace": "inference", "uid": uid},
            "spec": {
                "storageClassName": "local-folders",
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "17Gi"}},
                **spec,
            },
        }
    )


def volume(path: Path, phase: str, by: str = "local.llm-platform/folders") -> PersistentVolume:
    return PersistentVolume.model_validate(
        {
            "metadata": {"name": "claim-u1", "annotations": {"pv.kubernetes.io/provisioned-by": by}},
            "spec": {"hostPath": {"path": str(path)}},
            "status": {"phase": phase},
        }
    )


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (claim(), True),
        (claim(volumeName="claim-u1"), False),
        (claim(storageClassName="somebody-elses"), False),
    ],
)
def test_only_unbound_claims_of_our_class(found: PersistentVolumeClaim, ours: bool):
    assert is_waiting(found) is ours


def test_a_volume_is_bound_to_its_claim_and_to_no_other(tmp_path: Path):
    made = volume_of(claim(), tmp_path / "x")
    assert made["spec"]["claimRef"]["uid"] == "u1"
    assert made["spec"]["accessModes"] == ["ReadWriteMany"]
    assert made["spec"]["capacity"] == {"storage": "17Gi"}
    assert made["spec"]["hostPath"]["path"] == str(tmp_path / "x")


def test_a_claim_made_again_has_another_folder(tmp_path: Path):
    assert folder(tmp_path, claim("u1")) != folder(tmp_path, claim("u2"))


def test_only_our_released_volumes_are_removed(tmp_path: Path):
    assert is_released(volume(tmp_path, "Released"))
    assert not is_released(volume(tmp_path, "Bound"))
    assert not is_released(volume(tmp_path, "Released", by="ebs.csi.aws.com"))


class Recorded:
    """An API that takes everything, or answers that it exists already."""

    def __init__(self, status: int | None = None) -> None:
        self.requests: list[tuple[str, str]] = []
        self._status = status

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(("POST", path))
        if self._status is not None:
            raise ApiError(self._status, "AlreadyExists", "no")
        return {}

    async def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(("DELETE", path))
        return {}


def provision(
    api: Any, path: Path, claims: list[PersistentVolumeClaim], volumes: list[PersistentVolume]
) -> None:
    async def once() -> None:
        running = asyncio.create_task(ClaimProvisioner(api, path, lambda: claims, lambda: volumes).run())
        await asyncio.sleep(0.05)
        running.cancel()

    asyncio.run(once())


@pytest.mark.parametrize("status", [None, 409], ids=["new", "made before"])
def test_a_claim_gets_a_folder_and_a_volume(tmp_path: Path, status: int | None):
    api = Recorded(status)
    provision(api, tmp_path, [claim()], [])
    assert folder(tmp_path, claim()).is_dir()
    assert api.requests == [("POST", "/api/v1/persistentvolumes")]


def test_folder_and_volume_go_with_the_claim_and_nothing_outside_does(tmp_path: Path):
    inside, outside = tmp_path / "claims" / "a", tmp_path / "elsewhere"
    inside.mkdir(parents=True)
    outside.mkdir()
    api = Recorded()
    provision(api, tmp_path / "claims", [], [volume(inside, "Released"), volume(outside, "Released")])
    assert not inside.exists()
    assert outside.exists()
    assert [verb for verb, _ in api.requests] == ["DELETE", "DELETE"]


def test_folders_of_no_claim_are_swept_at_the_start(tmp_path: Path):
    kept, bound, left = folder(tmp_path, claim()), tmp_path / "bound", tmp_path / "left"
    for path in (kept, bound, left):
        path.mkdir()
    provisioner = ClaimProvisioner(
        Recorded(),  # pyright: ignore[reportArgumentType]
        tmp_path,
        lambda: [claim()],
        lambda: [volume(bound, "Bound")],
    )
    provisioner.remove_leftovers()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept.name, "bound"])


def test_a_pod_reads_its_claims(make_pod: MakePod):
    pod = make_pod(spec={"volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "weights"}}]})
    assert references(pod) == {("PersistentVolumeClaim", "weights")}

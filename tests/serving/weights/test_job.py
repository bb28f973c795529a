"""Specs of claim, Job and volumes, for every source of weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.names import labels
from serving.replica import Adapter, Replica
from serving.weights import job, volumes
from serving.weights.layout import adapter_path
from serving.weights.sources import Claim, Hub, Image, ObjectStore, Source, Weights
from sizing.models.models import MODELS
from tests.serving.contracts import cluster_contract, small_replica

STORAGE = cluster_contract().weights_storage
HUB = Hub("Qwen/Qwen3-8B", "b968826d9c46dd6066d109eabc6255188de91218")
IMAGE = Image("registry.example/qwen@sha256:" + "0" * 64)
POLITE = Adapter("polite", "somebody/polite-lora", "c" * 40, rank=16)

SOURCES: dict[str, Source] = {
    "hub": HUB,
    "s3": ObjectStore("s3", "models", "qwen/8b"),
    "gs": ObjectStore("gs", "models", "qwen/8b"),
    "pvc": Claim("models", "qwen"),
    "oci": IMAGE,
}


def of(source: Source, *adapters: Adapter) -> Replica:
    return small_replica(weights=Weights("chat", source), adapters=adapters)


def pod(replica: Replica) -> Any:
    spec: Any = job.job_spec(replica, cluster_contract())
    return spec.template.spec


def environment(replica: Replica) -> dict[str, str]:
    return {item.name: item.value for item in pod(replica).containers[0].env}


def mounted(mounts: Any) -> dict[str, tuple[str, str | None]]:
    return {item.mount_path: (item.name, item.sub_path) for item in mounts}


def claims(found: Any) -> dict[str, str]:
    return {
        item.name: item.persistent_volume_claim.claim_name
        for item in found
        if item.persistent_volume_claim is not None
    }


def test_the_hub_is_staged_into_a_claim_of_the_revision():
    replica = of(HUB, POLITE)
    assert volumes.staged_claim(replica) == "weights-chat-b968826d"
    assert json.loads(environment(replica)["STAGE_ITEMS"]) == [
        {"folder": "/weights/model", "id": HUB.repository, "revision": HUB.revision, "source": "hub"},
        {
            "folder": adapter_path("polite", POLITE.source, POLITE.revision),
            "id": POLITE.source,
            "revision": POLITE.revision,
            "source": "hub",
            "revisions": "/weights/adapters/polite",
        },
    ]
    assert claims(pod(replica).volumes) == {"staged": "weights-chat-b968826d"}
    assert claims(list(volumes.volumes(replica))) == {"weights": "weights-chat-b968826d"}
    assert mounted(volumes.mounts(replica)) == {
        "/weights/model": ("weights", "model"),
        "/weights/adapters": ("weights", "adapters"),
    }


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_bucket_is_copied_by_an_init_container_and_then_verified(scheme: str):
    replica = of(SOURCES[scheme])
    (copy,) = pod(replica).init_containers
    assert copy.args[:3] == ["copy", "store:models/qwen/8b", "/weights/model"]
    assert "SHA256SUMS" in copy.args
    assert not any("secret" in item.name.lower() or "key" in item.name.lower() for item in copy.env)
    (item,) = json.loads(environment(replica)["STAGE_ITEMS"])
    assert (item["source"], item["id"]) == (f"{scheme}://models/qwen/8b", "Qwen/Qwen3-8B")
    assert list(claims(pod(replica).volumes)) == ["staged"]


def test_somebody_elses_claim_is_verified_in_place_and_never_written_to():
    replica = of(SOURCES["pvc"])
    assert volumes.staged_claim(replica) is None
    assert volumes.needs_job(replica)
    (volume,) = [item for item in pod(replica).volumes if item.persistent_volume_claim is not None]
    assert volume.persistent_volume_claim.read_only
    mount = mounted(pod(replica).containers[0].volume_mounts)
    assert mount["/weights/model"] == ("weights", "qwen")
    assert pod(replica).init_containers is None


def test_an_image_needs_no_job_unless_adapters_lie_beside_it():
    assert not volumes.needs_job(of(IMAGE))
    (volume,) = volumes.volumes(of(IMAGE))
    image: Any = volume.image
    assert image.reference == IMAGE.reference
    with_adapter = of(IMAGE, POLITE)
    assert volumes.needs_job(with_adapter)
    assert [item["source"] for item in job.items(with_adapter)] == ["hub"]
    assert list(claims(list(volumes.volumes(with_adapter)))) == ["adapters"]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("adapters", [(), (POLITE,)], ids=["alone", "with an adapter"])
def test_engines_find_everything_in_the_same_place_and_write_to_none_of_it(
    name: str, adapters: tuple[Adapter, ...]
):
    replica = of(SOURCES[name], *adapters)
    mounts: list[Any] = list(volumes.mounts(replica))
    found: list[Any] = list(volumes.volumes(replica))
    assert [item.mount_path for item in mounts] == [
        "/weights/model",
        *(["/weights/adapters"] if adapters else []),
    ]
    assert {item.name for item in mounts} == {item.name for item in found}
    assert all(item.read_only for item in mounts)
    assert all(
        item.persistent_volume_claim.read_only for item in found if item.persistent_volume_claim is not None
    )


@given(model=st.sampled_from(sorted(MODELS)))
def test_the_claim_holds_the_checkpoint_and_the_deadline_a_slow_transfer(model: str):
    replica = small_replica(model=MODELS[model])
    spec: Any = job.claim_spec(replica, STORAGE)
    size = int(spec.resources.requests["storage"].removesuffix("Gi"))
    assert size > MODELS[model].download_gib * 1.05
    # 20 MiB/s: a fifth of a slow day of the hub.
    assert job.deadline_seconds(replica) > MODELS[model].download_gib * 1024 / 21


def test_class_and_access_come_from_the_clusters_contract():
    spec: Any = job.claim_spec(of(HUB), STORAGE)
    assert (spec.storage_class_name, spec.access_modes) == ("shared-files", ["ReadWriteMany"])
    alone: Any = job.claim_spec(of(HUB), replace(STORAGE, access_mode="ReadWriteOnce", storage_class=None))
    assert (alone.storage_class_name, alone.access_modes) == (None, ["ReadWriteOnce"])


def test_another_run_for_other_weights_adapters_or_hub_and_for_nothing_else():
    name = job.job_name(of(HUB), STORAGE)
    assert len(name) <= 63
    assert name == job.job_name(replace(of(HUB), max_num_seqs=7), STORAGE)
    others = {
        job.job_name(of(replace(HUB, revision="d" * 40)), STORAGE),
        job.job_name(of(HUB, POLITE), STORAGE),
        job.job_name(of(HUB), replace(STORAGE, hub_endpoint="https://mirror.example")),
        job.job_name(of(SOURCES["s3"]), STORAGE),
    }
    assert len(others | {name}) == 5


def test_another_program_is_another_run_and_another_config_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = (job.job_name(of(HUB), STORAGE), job.program_name())
    package = tmp_path / "stager"
    shutil.copytree(job.PROGRAM.package, package)
    same = replace(job.PROGRAM, package=package)
    monkeypatch.setattr(job, "PROGRAM", same)
    assert (job.job_name(of(HUB), STORAGE), job.program_name()) == before
    (package / "hub.py").write_text(same.files["hub.py"] + "#")
    monkeypatch.setattr(job, "PROGRAM", replace(same))
    after = (job.job_name(of(HUB), STORAGE), job.program_name())
    assert all(first != second for first, second in zip(before, after, strict=True))


def test_a_final_refusal_ends_the_job_and_an_interruption_does_not():
    spec: Any = job.job_spec(of(HUB), cluster_contract())
    rule = spec.pod_failure_policy.rules[0]
    assert (rule.action, rule.on_exit_codes.values) == ("FailJob", [1])
    assert spec.backoff_limit > 0
    (container,) = spec.template.spec.containers
    assert container.termination_message_policy == "FallbackToLogsOnError"


def test_the_hub_token_is_a_file_of_the_job_alone():
    found = {item.name: item for item in pod(of(HUB)).volumes}
    assert found["hub-token"].secret.optional
    assert not any("TOKEN" in name and name != "HUB_TOKEN_FILE" for name in environment(of(HUB)))
    assert "hub-token" not in {item.name for item in volumes.volumes(of(HUB))}


def test_the_program_arrives_as_a_package():
    found = {item.name: item for item in pod(of(HUB)).volumes}
    paths = {item.path for item in found["program"].config_map.items}
    assert "stager/__main__.py" in paths
    assert set(job.PROGRAM.files) == {path.removeprefix("stager/") for path in paths}
    assert pod(of(HUB)).containers[0].working_dir == "/staging"


def test_the_jobs_pods_are_told_apart_from_engines():
    spec: Any = job.job_spec(of(HUB), cluster_contract())
    assert spec.template.metadata.labels == labels("staging", component="staging")
    assert spec.template.spec.service_account_name == "weights"
    assert spec.template.spec.automount_service_account_token is False

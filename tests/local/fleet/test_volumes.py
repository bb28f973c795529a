from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.fleet.environment import ConfigError, Sources
from local.fleet.pod_model import Pod
from local.fleet.references import references
from local.fleet.volumes import MissingSource, Tokens, contents, mounts, token_sources, write_atomically
from tests.local.fleet.conftest import MakePod


def only_volume(make_pod: MakePod, **volume: Any) -> Pod:
    return make_pod(spec={"volumes": [{"name": "v", **volume}]}, metadata={"labels": {"a": "1"}})


def files(make_pod: MakePod, sources: Sources, **volume: Any) -> dict[str, bytes] | None:
    pod = only_volume(make_pod, **volume)
    tokens = Tokens({source: "signed" for source in token_sources(pod)})
    return contents(pod, pod.spec.volumes[0], sources, tokens)


def test_a_config_map_gives_text_and_bytes(make_pod: MakePod, sources: Sources) -> None:
    found = files(make_pod, sources, configMap={"name": "settings"})
    assert found == {"mode": b"fast", "level": b"3", "blob": b"\x00\x01\x02"}


def test_items_choose_keys_and_paths(make_pod: MakePod, sources: Sources) -> None:
    found = files(
        make_pod, sources, configMap={"name": "settings", "items": [{"key": "mode", "path": "a/b"}]}
    )
    assert found == {"a/b": b"fast"}


def test_secrets_are_decoded(make_pod: MakePod, sources: Sources) -> None:
    assert files(make_pod, sources, secret={"secretName": "keys"}) == {"token": b"secret"}


def test_a_service_accounts_projected_volume(make_pod: MakePod, sources: Sources) -> None:
    label = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    projected = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "settings", "items": [{"key": "mode", "path": "ca.crt"}]}},
        {"downwardAPI": label},
        {"secret": {"name": "keys", "optional": True}},
    ]
    found = files(make_pod, sources, projected={"sources": projected})
    assert found == {"token": b"secret", "ca.crt": b"fast", "labels": b'a="1"'}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, "configmap 'none' not found"),
        ({"secret": {"secretName": "none"}}, "secret 'none' not found"),
        ({"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}}, "has no key 'x'"),
    ],
)
def test_a_pod_waits_for_what_is_missing(
    make_pod: MakePod, sources: Sources, volume: dict[str, Any], message: str
) -> None:
    with pytest.raises(MissingSource, match=message):
        files(make_pod, sources, **volume)


def test_what_is_optional_may_be_missing(make_pod: MakePod, sources: Sources) -> None:
    assert files(make_pod, sources, configMap={"name": "none", "optional": True}) == {}


def test_an_empty_dir_has_no_content_and_another_kind_is_refused(make_pod: MakePod, sources: Sources) -> None:
    assert files(make_pod, sources, emptyDir={}) is None
    with pytest.raises(ConfigError, match="does not offer"):
        files(make_pod, sources, hostPath={"path": "/etc"})


def test_references_cover_volumes_and_environment(make_pod: MakePod) -> None:
    pod = make_pod(
        envFrom=[{"secretRef": {"name": "a"}}],
        env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}}],
        spec={"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]},
    )
    assert references(pod) == {("Secret", "a"), ("ConfigMap", "b"), ("ConfigMap", "c")}


def test_mounts_follow_sub_paths_and_need_their_volume(make_pod: MakePod) -> None:
    mount = {"name": "v", "mountPath": "/data", "subPath": "x/y"}
    container = make_pod(volumeMounts=[mount]).spec.containers[0]
    assert mounts(container, {"v": Path("/pods/v")}) == {"/data": Path("/pods/v/x/y")}
    with pytest.raises(ConfigError, match="no volume of the pod"):
        mounts(container, {})


def test_an_update_swaps_one_link(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": b"1", "deep/b": b"2"}, 0o755)
    before = (tmp_path / "..data").resolve()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "deep/b").read_bytes() == b"2"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755

    write_atomically(tmp_path, {"a": b"1", "deep/b": b"2"}, 0o755)
    assert (tmp_path / "..data").resolve() == before

    opened = (tmp_path / "..data").resolve()
    write_atomically(tmp_path, {"a": b"3"}, 0o644)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "deep").exists()
    assert not opened.exists()


def test_an_image_volume_is_refused_with_what_to_use_here(make_pod: MakePod, sources: Sources) -> None:
    with pytest.raises(ConfigError, match="nothing on this machine pulls images; use weights hub"):
        files(make_pod, sources, image={"reference": "registry.example/model@sha256:0"})

from __future__ import annotations

import pytest

from infra.kubernetes_version import (
    LOCAL_RELEASE,
    KubernetesVersion,
    has_configurable_tolerance,
    kubernetes_version,
)
from local.toolchain.catalogue import load


@pytest.mark.parametrize(
    ("text", "settable"), [("1.34", False), ("1.35", True), ("1.36", True), ("2.00", True)]
)
def test_releases_are_compared_as_numbers(text: str, settable: bool):
    assert has_configurable_tolerance(kubernetes_version(text)) is settable


def test_an_unknown_release_is_taken_for_an_old_one():
    assert not has_configurable_tolerance(None)


def test_the_local_cluster_has_the_release_that_is_planned_for():
    (server,) = [tool for tool in load() if tool.name == "kube-apiserver"]
    assert server.version.startswith(f"{LOCAL_RELEASE}.")
    following = KubernetesVersion(LOCAL_RELEASE.major, LOCAL_RELEASE.minor + 1)
    assert server.accepts == f">={LOCAL_RELEASE},<{following}"

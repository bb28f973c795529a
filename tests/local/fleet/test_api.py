from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from local.fleet.api import KubeconfigError, is_loopback, load_kubeconfig


def kubeconfig(folder: Path, server: str, user: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server, "certificate-authority-data": "eA=="}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


CERTIFICATE = {"client-certificate-data": "eA==", "client-key-data": "eA=="}


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="no such file; start the cluster first"):
        load_kubeconfig(tmp_path / "kubeconfig")


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\x00"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match="kubeconfig"):
        load_kubeconfig(path)


def test_an_incomplete_file_names_what_it_lacks(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://127.0.0.1:6443", {"token": "x"})
    with pytest.raises(KubeconfigError, match="'client-certificate' is missing"):
        load_kubeconfig(path)


@pytest.mark.parametrize(
    "server", ["https://10.0.0.1:6443", "https://prod.example.com", "https://[2001:db8::1]"]
)
def test_a_cluster_on_another_machine_is_refused(tmp_path: Path, server: str) -> None:
    with pytest.raises(KubeconfigError, match=r"only a cluster on 127\.0\.0\.1"):
        load_kubeconfig(kubeconfig(tmp_path, server, CERTIFICATE))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("localhost.evil", False)],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback

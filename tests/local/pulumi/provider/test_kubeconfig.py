from __future__ import annotations

import base64

import pytest
import yaml

from local.pulumi.provider.kubeconfig import KubeconfigError, NotLoopback, load, refuse_other_machines


def kubeconfig(server="https://127.0.0.1:6443", user=None, **cluster):
    return {
        "clusters": [
            {"name": "here", "cluster": {"server": server, **cluster}},
            {"name": "there", "cluster": {"server": "https://192.0.2.1"}},
        ],
        "contexts": [
            {"name": "mine", "context": {"cluster": "here", "user": "me", "namespace": "team"}},
            {"name": "far", "context": {"cluster": "there"}},
        ],
        "users": [{"name": "me", "user": {} if user is None else user}],
        "current-context": "mine",
    }


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:6443", "http://localhost:80", "https://127.8.8.8", "https://[::1]:6443"]
)
def test_this_machine_is_not_refused(server):
    refuse_other_machines(server, "x")


@pytest.mark.parametrize(
    "server",
    [
        "https://192.0.2.1",
        "https://localhost.example.com",
        "https://0.0.0.0:1",
        "127.0.0.1",
        "https://[2001:db8::1]",
    ],
)
def test_other_machines_are_refused_with_what_to_do(server):
    with pytest.raises(NotLoopback, match="pulumi plugin install"):
        refuse_other_machines(server, "kubeconfig x")


def test_a_path_is_read_and_files_are_found_beside_it(tmp_path):
    for name in ("ca", "cert", "key", "token"):
        tmp_path.joinpath(name).write_text(f"{name} text\n")
    user = {"client-certificate": "cert", "client-key": str(tmp_path / "key"), "tokenFile": "token"}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig(user=user, **{"certificate-authority": "ca"})))
    cluster = load(str(path), None, None)
    assert (cluster.server, cluster.namespace, cluster.authority) == (
        "https://127.0.0.1:6443",
        "team",
        "ca text\n",
    )
    assert cluster.credentials.certificate == "cert text\n"
    assert cluster.credentials.key == "key text\n"
    assert cluster.credentials.token == "token text"


def test_contents_are_read_with_embedded_data():
    encoded = base64.b64encode(b"ca text").decode()
    contents = yaml.safe_dump(
        kubeconfig(**{"certificate-authority-data": encoded, "insecure-skip-tls-verify": True})
    )
    cluster = load(contents, None, None)
    assert (cluster.authority, cluster.verify) == ("ca text", False)


def test_context_and_cluster_can_be_chosen():
    contents = yaml.safe_dump(kubeconfig())
    with pytest.raises(NotLoopback):
        load(contents, "far", None)
    assert load(contents, "far", "here").namespace == "default"


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ("/no/such/file", "does not exist"),
        ("a: [\n", "cannot be read"),
        (yaml.safe_dump({**kubeconfig(), "current-context": "lost"}), "it has: far, mine"),
        (yaml.safe_dump({"clusters": []}), "no current-context"),
        (yaml.safe_dump(kubeconfig(user={"exec": {}})), "credential plugins"),
        (
            yaml.safe_dump(kubeconfig(**{"certificate-authority": "/no/such/ca"})),
            "certificate-authority cannot be read",
        ),
        (
            yaml.safe_dump(kubeconfig(**{"certificate-authority-data": "?"})),
            "certificate-authority cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_said(contents, said):
    with pytest.raises(KubeconfigError, match=said):
        load(contents, None, None)

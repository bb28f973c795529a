"""What another user of this machine gets out of the cluster's ports: loopback is shared by all of them."""

from __future__ import annotations

import base64
import contextlib
import multiprocessing
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from local.cluster import cluster as embedded
from local.cluster import control_plane
from local.cluster.cluster import Cluster
from local.cluster.ports import chosen
from local.cluster.prometheus_configuration import cluster_tls
from tests.local.on_cluster.deployment import eventually

pytestmark = pytest.mark.cluster

NOBODY = 65534
ALL = {"key": base64.b64encode(b"/").decode(), "range_end": base64.b64encode(b"0").decode(), "limit": "5"}
"""Every key that Kubernetes has in etcd."""

OWN = ("tls.crt", "tls.key")


def unchecked() -> ssl.SSLContext:
    """Of a client that takes any server: it is the server that must say no."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def with_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    context = unchecked()
    context.load_cert_chain(certificate, key)
    return context


def asked(address: str, verify: ssl.SSLContext) -> httpx.Response:
    with httpx.Client(verify=verify, trust_env=False, timeout=5.0) as client:
        return client.post(f"{address}/v3/kv/range", json=ALL)


def as_somebody_else(action: Callable[[], object]) -> str:
    """What becomes of an action in a process of another user: the name of the error, or what it returned."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            answers.put(str(action()))
        except (OSError, httpx.HTTPError) as error:
            answers.put(type(error).__name__)

    process = context.Process(target=child)
    process.start()
    said: str = answers.get()
    process.join(10)
    return said


def test_the_owner_of_the_certificate_reads_etcd(cluster: Cluster) -> None:
    own = with_certificate(*(control_plane.ETCD_CERTIFICATES / name for name in OWN))
    answer = asked(control_plane.etcd_address(chosen()), own)
    assert int(answer.json()["count"]) > 100


def test_etcd_answers_to_no_other_client(cluster: Cluster) -> None:
    ports, tls = chosen(), cluster_tls()
    for port in (ports.etcd, ports.etcd_peer):
        # TLS comes first: without it there is no answer, or one of 400 that says so.
        with contextlib.suppress(httpx.HTTPError):
            assert not asked(f"http://127.0.0.1:{port}", unchecked()).is_success
        for context in (unchecked(), with_certificate(tls.certificate, tls.key)):
            with pytest.raises(httpx.HTTPError):
                asked(f"https://127.0.0.1:{port}", context)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_has_neither_key_nor_answer(cluster: Cluster) -> None:
    own = [control_plane.ETCD_CERTIFICATES / name for name in OWN]
    assert as_somebody_else(lambda: own[1].read_bytes()) == "PermissionError"
    address = control_plane.etcd_address(chosen())
    for scheme in ("http://", "https://"):
        said = as_somebody_else(
            lambda scheme=scheme: asked(scheme + address.partition("//")[2], unchecked()).text
        )
        assert "kvs" not in said
        assert "Error" in said or "HTTPS" in said


def prometheus(method: str, path: str) -> httpx.Response:
    """Its answer; one of 503 while it does not listen."""
    try:
        return httpx.request(method, f"http://127.0.0.1:{chosen().prometheus}{path}", trust_env=False)
    except httpx.ConnectError:
        return httpx.Response(503)


@pytest.mark.parametrize("path", ["/-/quit", "/-/reload"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_nobody_ends_or_reloads_prometheus_by_a_request(cluster: Cluster, path: str, method: str) -> None:
    def pid() -> int:
        return next(state.pid for state in embedded.states() if state.name == "prometheus")

    eventually(lambda: prometheus("GET", "/-/ready").is_success or None, "Prometheus is ready")
    before = pid()
    assert prometheus(method, path).status_code == httpx.codes.FORBIDDEN
    assert prometheus("GET", "/-/ready").is_success
    assert pid() == before

from __future__ import annotations

import ssl
from pathlib import Path

from local.cluster.certificates import issue


def handshake(folder: Path, authority: Path, host: str) -> None:
    """A TLS handshake in memory, with the name check that a client makes."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.create_default_context(cafile=str(authority / "ca.crt"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (near, far, near, far, near):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_the_certificate_is_valid_for_its_hosts_and_kept(tmp_path: Path) -> None:
    issue(tmp_path, "keda", ("localhost", "adapter.keda.svc"))
    for host in ("localhost", "adapter.keda.svc", "127.0.0.1"):
        handshake(tmp_path, tmp_path, host)
    before = (tmp_path / "tls.crt").read_bytes()
    issue(tmp_path, "keda", ("localhost",))
    assert (tmp_path / "tls.crt").read_bytes() == before
    assert (tmp_path / "tls.key").stat().st_mode & 0o077 == 0


def test_another_host_and_another_authority_are_refused(tmp_path: Path) -> None:
    issue(tmp_path / "one", "one", ("localhost",))
    issue(tmp_path / "two", "two", ("localhost",))
    for authority, host in (("one", "elsewhere"), ("two", "localhost")):
        try:
            handshake(tmp_path / "one", tmp_path / authority, host)
        except ssl.SSLCertVerificationError:
            continue
        raise AssertionError(f"{host} with the authority of {authority} was accepted")

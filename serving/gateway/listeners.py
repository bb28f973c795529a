"""Where the gateway listens: clients on one port, readiness and metrics on another for the cluster."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from serving.gateway.access_log import access_log
from serving.gateway.arrivals import arrivals_filter
from serving.gateway.authentication import authentication_filter
from serving.gateway.authorization import claims_filter, models_filter
from serving.gateway.cors import cors_filter
from serving.gateway.documents import Document, discovery, socket_address, typed, watched_file
from serving.gateway.engine_headers import engine_headers_filter
from serving.gateway.errors import error_replies
from serving.gateway.first_tokens import first_tokens_logs
from serving.gateway.memory import MEMORY_MIB
from serving.gateway.metadata import filter_state_filter
from serving.gateway.model_list import model_list_filter
from serving.gateway.outcomes import outcomes_log
from serving.gateway.rate_limit import rate_limit_filter
from serving.gateway.request_body import collecting_filter
from serving.gateway.request_id import client_id_filter, copied_id
from serving.gateway.routes import ROUTES
from serving.gateway.scripts import scripts_filter
from serving.gateway.served import ServedModel
from serving.gateway.tls import transport_socket
from serving.gateway.tries import tries_filters
from serving.gateway.unannounced_bodies import unannounced_filter
from serving.gateway.upload_limit import BODY_SECONDS, upload_limit_filter

HTTP_PORT = 8080
HTTPS_PORT = 8443
METRICS_PORT = 9902
ADMIN_PORT = 9901
ADMIN_CLUSTER = "admin"

TCP_USER_TIMEOUT = 18
"""Its number on Linux; Python has the name there only."""

CLIENTS, CLIENTS_TLS = "clients", "clients-tls"
"""Names of the listeners for clients."""

ROUTES_FILE = "routes.yaml"

STUCK_SECONDS = 60
"""How long a client may take nothing of what is ready for it. One that reads slowly is left alone."""

KEEPALIVE_SECONDS = STUCK_SECONDS // 2
KEEPALIVE_INTERVAL_SECONDS = 10
KEEPALIVE_PROBES = 3

SERVER_NAME = "llm-platform"

IDLE_SECONDS = 75
"""How long a client's connection may have no request. Longer than the 60 s for which AWS's load balancers for
HTTP keep theirs to a back end, so that they close first. Envoy's default is an hour."""

LEAST_IDLE_SECONDS = 10
"""The same while many connections stand (bootstrap.py)."""

HANDSHAKE_SECONDS, LEAST_HANDSHAKE_SECONDS = 10, 3
"""How long a TLS handshake may take; Envoy sets no limit. And the least while many connections stand."""

CONNECTION_MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def listener_documents(
    max_request_bytes: int,
    *,
    memory_mib: int = MEMORY_MIB,
    tls: bool = False,
    allowed_origins: Sequence[str] = (),
    models: Sequence[ServedModel] = (),
) -> Document:
    """The discovery document with the listeners for clients.

    memory_mib: limit of the pod. tls: a second listener, on HTTPS_PORT. The first stays for the verify Job;
    network policies allow no other client then. allowed_origins: web pages that may ask from a browser.
    models: those whose answers may have to be timed.
    """
    chain = _filter_chain(_clients(max_request_bytes, memory_mib, allowed_origins, models))
    tls_chain = {
        **chain,
        "transport_socket": transport_socket(),
        "transport_socket_connect_timeout": f"{HANDSHAKE_SECONDS}s",
    }
    encrypted = _listener(CLIENTS_TLS, HTTPS_PORT, tls_chain)
    return discovery(_listener(CLIENTS, HTTP_PORT, chain), *([encrypted] if tls else []))


def _listener(name: str, port: int, filter_chain: Document) -> Document:
    return typed(
        "config.listener.v3.Listener",
        name=name,
        address=socket_address("0.0.0.0", port),
        # Each thread counts a team's requests by itself (places.py): connections are spread evenly over them.
        connection_balance_config={"exact_balance": {}},
        socket_options=[_stuck_readers(), *_keepalive()],
        # What one connection may buffer; request bodies have their own limit below.
        per_connection_buffer_limit_bytes=32 * 1024,
        filter_chains=[filter_chain],
    )


def metrics_listener() -> Document:
    """Readiness and Prometheus metrics. Nothing else of Envoy's administration is reachable from outside."""
    route = {
        "match": {"path": "/stats/prometheus"},
        "route": {"cluster": ADMIN_CLUSTER, "timeout": "10s"},
    }
    health = typed(
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": "/ready"}}],
    )
    manager = typed(
        CONNECTION_MANAGER,
        stat_prefix="metrics",
        route_config={
            "name": "metrics",
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}],
        },
        http_filters=[
            {"name": "envoy.filters.http.health_check", "typed_config": health},
            _router(),
        ],
    )
    return {
        "name": "metrics",
        "address": socket_address("0.0.0.0", METRICS_PORT),
        "filter_chains": [_filter_chain(manager)],
    }


def _filter_chain(manager: Document) -> Document:
    name = "envoy.filters.network.http_connection_manager"
    return {"filters": [{"name": name, "typed_config": manager}]}


def _clients(
    max_request_bytes: int, memory_mib: int, allowed_origins: Sequence[str], models: Sequence[ServedModel]
) -> Document:
    return typed(
        CONNECTION_MANAGER,
        stat_prefix="gateway",
        server_name=SERVER_NAME,
        # Not HTTP/2: a client that opens no window for a stream looks like one whose model thinks, and could
        # hold a place in the queue for ever. OpenAI's clients do not speak it unless told to.
        codec_type="HTTP1",
        # The client's address is the connection's; what a client claims in X-Forwarded-For is not believed.
        use_remote_address=True,
        # One spelling of each path, or the allow-list would be a suggestion.
        normalize_path=True,
        merge_slashes=True,
        # A path with an escaped slash is not changed, so that it is one of no route here but that to a model
        # whose name has a slash. Every other route is an exact string or leads to no engine.
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        # Every answer says the request's id, which the engine is told too.
        always_set_request_id_in_response=True,
        early_header_mutation_extensions=[copied_id()],
        # Underscores: as nginx does. Left in, `x_team` and `x-team` would be one header to some servers.
        common_http_protocol_options={
            "idle_timeout": f"{IDLE_SECONDS}s",
            "headers_with_underscores_action": "DROP_HEADER",
        },
        # HTTP/1.0 is what nginx's proxy_pass speaks unless told otherwise. Such a client gets no chunks: what
        # has no length ends with the connection.
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": SERVER_NAME},
        # Headers and body have to arrive in time. A reply may take as long as it takes.
        request_headers_timeout="10s",
        request_timeout=f"{BODY_SECONDS}s",
        stream_idle_timeout="0s",
        rds={"route_config_name": ROUTES, "config_source": watched_file(ROUTES_FILE)},
        local_reply_config=error_replies(),
        access_log=[access_log(), outcomes_log(), *first_tokens_logs(models)],
        # A refused request costs no more than a look at its headers, and only what may reach a model counts
        # as an arrival.
        http_filters=[
            *([cors_filter()] if allowed_origins else []),
            client_id_filter(),
            authentication_filter(),
            claims_filter(),
            rate_limit_filter(),
            upload_limit_filter(max_request_bytes, memory_mib),
            model_list_filter(),
            unannounced_filter(max_request_bytes, memory_mib),
            collecting_filter(max_request_bytes),
            scripts_filter(),
            filter_state_filter(),
            models_filter(),
            arrivals_filter(),
            engine_headers_filter(),
            _router(upstream_http_filters=tries_filters()),
        ],
    )


def _stuck_readers() -> Document:
    """TCP_USER_TIMEOUT of Linux, for what is sent and not taken; a connection with nothing to send never ends
    by it, however long a model thinks."""
    return {
        "description": "clients that read nothing",
        "level": socket.IPPROTO_TCP,
        "name": TCP_USER_TIMEOUT,
        "int_value": STUCK_SECONDS * 1000,
        # Before listening: connections inherit it.
        "state": "STATE_BOUND",
    }


def _keepalive() -> list[Document]:
    """Probes to clients while an answer is silent: a network load balancer on AWS drops a connection without
    traffic after 350 s and tells neither side.

    They begin at half of STUCK_SECONDS: whatever TCP_KEEPCNT says, TCP_USER_TIMEOUT ends a connection with an
    unanswered probe from which nothing has come for that long (Linux, tcp_keepalive_timer). So three probes
    may get lost.
    """
    options = (
        ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 4, KEEPALIVE_SECONDS),
        ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5, KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", socket.IPPROTO_TCP, 6, KEEPALIVE_PROBES),
    )
    return [
        {"description": name, "level": level, "name": number, "int_value": value, "state": "STATE_BOUND"}
        for name, level, number, value in options
    ]


def _router(**more: object) -> Document:
    router = typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True, **more)
    return {"name": "envoy.filters.http.router", "typed_config": router}

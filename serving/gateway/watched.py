"""The files that a running gateway watches: everything of its configuration but what it starts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.gateway.authentication import AUTHENTICATION_FILE, Authentication, authentication_document
from serving.gateway.authorization import REVOCATIONS_FILE, revocations_document
from serving.gateway.bootstrap import CLUSTERS_FILE, LISTENERS_FILE
from serving.gateway.clusters import cluster_documents
from serving.gateway.documents import Document
from serving.gateway.listeners import ROUTES_FILE, listener_documents
from serving.gateway.memory import MEMORY_MIB
from serving.gateway.rate_limit import RATE_LIMITS_FILE, RateLimits, rate_limits_document
from serving.gateway.routes import route_configuration
from serving.gateway.served import ServedModel
from serving.gateway.tls import CERTIFICATE_FILE, certificate_document


def watched_documents(
    models: Sequence[ServedModel],
    max_request_bytes: int,
    authentication: Authentication,
    rate_limits: RateLimits,
    *,
    replicas: int = 1,
    memory_mib: int = MEMORY_MIB,
    tls: bool = False,
    allowed_origins: Sequence[str] = (),
) -> Mapping[str, Document]:
    """The discovery document of each file, by its name.

    replicas: gateway pods, which share the limits. memory_mib: limit of each.
    tls: whether clients are taken on HTTPS_PORT too. allowed_origins: web pages that may ask from a browser.
    """
    return {
        LISTENERS_FILE: listener_documents(
            max_request_bytes, memory_mib=memory_mib, tls=tls, allowed_origins=allowed_origins, models=models
        ),
        **({CERTIFICATE_FILE: certificate_document()} if tls else {}),
        AUTHENTICATION_FILE: authentication_document(authentication),
        RATE_LIMITS_FILE: rate_limits_document(rate_limits, replicas),
        REVOCATIONS_FILE: revocations_document(authentication),
        ROUTES_FILE: route_configuration(models, max_request_bytes, allowed_origins),
        CLUSTERS_FILE: cluster_documents(models),
    }

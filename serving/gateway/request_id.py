"""The id of a request: ours, in every answer, in the log and at the engine; and the client's own, in the log.

Envoy makes an id for each request and takes none from clients, whose ids may be anything. What a client calls
its request (`X-Client-Request-Id` as OpenAI's API has it, else `X-Request-Id`) is noted beside ours.
"""

from __future__ import annotations

from serving.gateway.documents import Document, typed
from serving.gateway.metadata import METADATA

CLIENT_HEADER = "x-client-request-id"

CLIENT_ID = "client_request_id"
"""Key of the client's id in the dynamic metadata of a request."""

CLIENT_ID_CHARACTERS = 128
"""What of a client's id is logged; a UUID has 36 characters."""

HEADER_TO_METADATA = "extensions.filters.http.header_to_metadata.v3.Config"


REQUEST_HEADER = "x-request-id"

REQUEST_ID = '%COALESCE({"operators": ["STREAM_ID", {"command": "RESP", "param": "X-REQUEST-ID"}]})%'
"""Envoy's expression for the id that the client has in its answer, for the access log."""


def made_up_id() -> Document:
    """The header for errors of Envoy's own: what it cannot read has no id yet. Where there is one, Envoy puts
    it in place of this."""
    return {
        "header": {"key": REQUEST_HEADER, "value": "%UNIQUE_ID%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def copied_id() -> Document:
    """The mutation for the connection manager: saves a client's X-Request-Id before Envoy replaces it."""
    copied = {
        "header": {"key": CLIENT_HEADER, "value": "%REQ(X-REQUEST-ID)%"},
        "append_action": "ADD_IF_ABSENT",
    }
    mutation = typed(
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[{"append": copied}],
    )
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": mutation}


def client_id_filter() -> Document:
    """The filter for the listener, before those that may refuse: keeps what is safe in a log.

    The id ends at the first character that is not a letter, a digit or one of - . _ ~ : and stays
    unset if nothing is left.
    """
    # \C is any byte: a header need not be UTF-8. To count here would take a program that Envoy refuses.
    safe = r"^([-._~:A-Za-z0-9]*)\C*$"
    noted = {
        "metadata_namespace": METADATA,
        "key": CLIENT_ID,
        "regex_value_rewrite": {"pattern": {"regex": safe}, "substitution": r"\1"},
    }
    config = typed(HEADER_TO_METADATA, request_rules=[{"header": CLIENT_HEADER, "on_header_present": noted}])
    return {"name": "envoy.filters.http.header_to_metadata", "typed_config": config}

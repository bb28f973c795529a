"""How many bytes a team may send: else 60 half-sent bodies of 16 MiB would fill a gateway pod for everybody.

A body is collected before it is read, so what a team has sent and not finished stands in memory, for as long
as a body may take. A bucket for each team, filled by the second and emptied by the length that a request
announces, bounds that: a full bucket and what flows in meanwhile are the team's share of the pod. Any method
counts: whoever sends chooses it.

A request that announces a length beyond the bucket counts as the longest body, in a second bucket of the same
size; what announces none counts as it arrives (unannounced_bodies.py). Each pod has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from serving.gateway.documents import Document
from serving.gateway.memory import MIB, TEAM_SHARE
from serving.gateway.rate_limit import TEAM, by_team, team_buckets

FILTER = "upload_limit"

BODY_SECONDS = 30
"""How long a body may take: one of 16 MiB at 4.5 Mbit/s."""

AT_ONCE_SHARE = 0.25
"""Part of a team's share that it may send at once; the rest flows in over BODY_SECONDS."""

KNOWN, BEYOND = "known", "beyond"
"""Names of a team's two buckets."""


def upload_limit_filter(max_request_bytes: int, memory_mib: int) -> Document:
    """The filter for the listener, after the token is judged and before the body is collected.

    memory_mib: limit of the pod.
    """
    bucket = upload_bucket(max_request_bytes, memory_mib)
    # Longer ones count as the longest body: a length beyond the bucket would be refused for ever with 429.
    digits = len(str(bucket.at_once)) - 1
    # Not a length of 0: with nothing to count Envoy refuses the request.
    known = {
        "actions": [by_team(), _header("content-length", f"0*[1-9][0-9]{{0,{digits - 1}}}", KNOWN)],
        "hits_addend": {"format": "%REQ(CONTENT-LENGTH)%"},
    }
    beyond = {
        "actions": [by_team(), _header("content-length", f"0*[1-9][0-9]{{{digits},}}", BEYOND)],
        "hits_addend": {"number": max_request_bytes},
    }
    descriptors = [
        {
            "entries": [{"key": TEAM}, {"key": "header_match", "value": length}],
            "token_bucket": bucket.document,
        }
        for length in (KNOWN, BEYOND)
    ]
    config = team_buckets(FILTER, rate_limits=[known, beyond], descriptors=descriptors)
    return {"name": FILTER, "typed_config": config}


@dataclass(frozen=True)
class UploadBucket:
    """Bytes that a team may send to a pod at once, and per second."""

    at_once: int
    per_second: int

    @property
    def document(self) -> Document:
        return {"max_tokens": self.at_once, "tokens_per_fill": self.per_second, "fill_interval": "1s"}


def upload_bucket(max_request_bytes: int, memory_mib: int) -> UploadBucket:
    """A team's bucket in a pod of this memory. Full, and refilled for BODY_SECONDS, it is the team's share.

    It holds a request of the longest, and gets as much in that time, even where the share is less.
    """
    share = TEAM_SHARE * memory_mib * MIB
    at_once = max(AT_ONCE_SHARE * share, max_request_bytes)
    return UploadBucket(int(at_once), int(max(share - at_once, max_request_bytes) / BODY_SECONDS))


def _header(name: str, regex: str, bucket: str) -> Document:
    """Picks a bucket for requests whose header is like this."""
    found = {"name": name, "string_match": {"safe_regex": {"regex": regex}}}
    return {"header_value_match": {"descriptor_value": bucket, "headers": [found]}}

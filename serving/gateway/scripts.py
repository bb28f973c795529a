"""The one filter that runs the gateway's scripts: the readers of a request's body and of its answer, and
the count of a team's requests in flight.

Each Lua filter costs every request 3 to 4 us of CPU time for each direction that it looks at, and has a heap
of its own to collect. So there is one, where requests need it; answers pass it after all that could change
them. What these scripts share is the pace of that heap's collector (collector.lua).

Routes that are answered by the headers alone switch the filter off (request_body.uncollected()): the
gateway's own answers need no script.
"""

from __future__ import annotations

from serving.gateway.answer_tokens import answers_script
from serving.gateway.documents import Document
from serving.gateway.lua import DATA, joined, lua_filter
from serving.gateway.places import places_script
from serving.gateway.request_body import FILTER, body_script

COLLECTOR_SCRIPT = DATA / "collector.lua"


def scripts_filter() -> Document:
    """The filter for the listener: after the one that collects the body, before those that need `model`."""
    collector = COLLECTOR_SCRIPT.read_text(encoding="utf-8")
    return lua_filter(FILTER, joined(collector, body_script(), places_script(), answers_script()))

"""An engine's 503 in the gateway's words: OpenAI's shape, and Retry-After, which vLLM 0.32 does not send.

vLLM answers 503 when its queue is full. A client without Retry-After asks again after half a second; with it,
it waits as it is told. Envoy's own filter for this, custom_response, is marked work in progress; the script
touches nothing but a 503.
"""

from __future__ import annotations

import json

from serving.envoy.documents import Document
from serving.envoy.error_replies import RETRY_AFTER_SECONDS
from serving.envoy.lua import lua_filter

MODEL_HEADER = "x-llm-platform-model"
"""Header of an answer: the Service that gave it, which is the model, its canary or its fallback."""

MESSAGE = "The queues of all replicas of '%s' are full. Try again shortly."

SCRIPT = """
function envoy_on_response(answer)
  local headers = answer:headers()
  -- What the gateway refuses by itself says already when to return.
  local service = headers:get("{model_header}")
  if headers:get(":status") ~= "503" or service == nil then return end
  headers:replace("retry-after", "{retry_after}")
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(answer:body(true):setBytes(string.format({body}, service))))
end
"""


def full_queue_filter() -> Document:
    """The filter for the listener, right before the router."""
    error = {"message": MESSAGE, "type": "server_error", "param": None, "code": "model_unavailable"}
    script = SCRIPT.format(
        model_header=MODEL_HEADER,
        retry_after=RETRY_AFTER_SECONDS,
        # A JSON string is a Lua string, too.
        body=json.dumps(json.dumps({"error": error})),
    )
    return lua_filter("full_queue", script)

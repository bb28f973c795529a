"""An engine's 503 in the gateway's words: OpenAI's shape, and Retry-After, which vLLM 0.32 does not send.

vLLM answers 503 when its queue is full. A client without Retry-After asks again after half a second; with it,
it waits as it is told.
"""

from __future__ import annotations

from serving.envoy.documents import Document, typed

MODEL_HEADER = "x-llm-platform-model"
"""Header of an answer: the Service that gave it, which is the model, its canary or its fallback."""

CUSTOM_RESPONSE = "extensions.filters.http.custom_response.v3.CustomResponse"
LOCAL_RESPONSE = "extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy"


def full_queue_filter() -> Document:
    """The filter for the listener, right before the router. error_replies() says what the client reads."""
    from_an_engine = {
        "and_matcher": {
            "predicate": [
                _matches(typed("type.matcher.v3.HttpResponseStatusCodeMatchInput"), {"exact": "503"}),
                # What the gateway refuses by itself says already when to return.
                _matches(
                    typed("type.matcher.v3.HttpResponseHeaderMatchInput", header_name=MODEL_HEADER),
                    {"safe_regex": {"google_re2": {}, "regex": ".+"}},
                ),
            ]
        }
    }
    action = {"name": "gateway's words", "typed_config": typed(LOCAL_RESPONSE)}
    matcher = {"matcher_list": {"matchers": [{"predicate": from_an_engine, "on_match": {"action": action}}]}}
    return {
        "name": "envoy.filters.http.custom_response",
        "typed_config": typed(CUSTOM_RESPONSE, custom_response_matcher=matcher),
    }


def _matches(value: Document, wanted: Document) -> Document:
    return {"single_predicate": {"input": {"name": "input", "typed_config": value}, "value_match": wanted}}

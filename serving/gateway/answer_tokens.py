"""What the gateway reads of an answer: how many tokens it took, and whether it is a refusal in a stream.

vLLM ends each whole answer with it, and a stream whose client asks for it, as OpenAI does
(`stream_options: {"include_usage": true}`); other streams do not say. Of Envoy 1.40's own filters one is
marked work in progress (sse_to_metadata) and one collects each answer before it passes (json_to_metadata), so
this is a script that looks at the pieces as they pass. What it notes of errors is in outcomes.py.
"""

from __future__ import annotations

from serving.gateway.errors import BROKE_OFF
from serving.gateway.lua import DATA, with_constants
from serving.gateway.metadata import METADATA
from serving.gateway.outcomes import MODEL_HEADER
from serving.gateway.tries import LOOK

SCRIPT = DATA / "answer_tokens.lua"

TOKENS = "tokens"
"""Under this the request's metadata has `prompt` and `completion`, numbers, as far as they are known."""


def answers_script() -> str:
    """The script for answers. They pass it after the engine's errors have been put into words."""
    constants = {"METADATA": METADATA, "MODEL_HEADER": MODEL_HEADER, "LOOK": LOOK, "BROKE_OFF": BROKE_OFF}
    return with_constants(SCRIPT.read_text(encoding="utf-8"), constants)

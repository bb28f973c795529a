"""Does each model answer as its task demands?"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping
from typing import Any

from .error_answers import explain, look
from .failed import Failed
from .gateway import COMPLETIONS, TOOL, Answer, Gateway, completion
from .settings import Model
from .streams import Progress, StreamError, read, without_token


def check_answer(gateway: Gateway, model: Model) -> str:
    """What the model is for comes back through the gateway."""
    if model.task == "embed":
        return check_embedding(gateway, model)
    if model.task == "rerank":
        return check_ranking(gateway, model)
    return check_completion(gateway, model)


def check_completion(gateway: Gateway, model: Model) -> str:
    """A streamed completion, token by token, to its end, and another with a tool where calls can be found."""
    line = f"model {model.name}: {_streamed(gateway, model, {}, '')}"
    if model.tool_parser is None:
        return line
    _streamed(gateway, model, TOOL, f"asked with a tool (parser {model.tool_parser}): ")
    return f"{line}; tools accepted"


def _streamed(gateway: Gateway, model: Model, more: Mapping[str, object], label: str) -> str:
    """What is said of a stream that holds. A thought, or a call of a tool, counts as text does: with few
    tokens a model may get no further. Raises Failed, with the label before the reason."""
    began = time.monotonic()
    progress = Progress()
    with gateway.stream(COMPLETIONS, completion(model.asked_as, more)) as reply:
        try:
            if reply.status != 200:
                answer = Answer(reply.status, reply.read())
                raise Failed(f"model {model.name}: {label}{explain(answer, model, gateway.token())}")
            read(reply, progress)
        except (OSError, http.client.HTTPException) as error:
            reason = f"the stream broke off after {progress.pieces} pieces ({error})"
            raise _failed(model, f"{label}{reason}") from None
        except StreamError as error:
            raise _failed(model, f"{label}{error}") from None
    if progress.first is None:
        raise _failed(model, f"{label}{without_token(progress)}")
    if not progress.finished:
        raise _failed(model, f"{label}the stream ended without [DONE]")
    return f"streamed {progress.pieces} pieces, the first after {progress.first - began:.2f} s"


def check_embedding(gateway: Gateway, model: Model) -> str:
    """Two texts become two vectors of the same length, and not the same vector."""
    answer = whole_answer(gateway, model, "/v1/embeddings", {"input": ["Say hello.", "Bread and butter."]})
    try:
        first, second = ([float(value) for value in each["embedding"]] for each in answer["data"])
    except (ValueError, LookupError, TypeError):
        raise _failed(model, "the answer is not OpenAI's list of embeddings") from None
    numbers = all(math.isfinite(value) for value in (*first, *second))
    if not first or len(first) != len(second) or first == second or not numbers:
        raise _failed(model, "the embeddings of two texts tell nothing apart")
    return f"model {model.name}: embeddings of {len(first)} values"


def check_ranking(gateway: Gateway, model: Model) -> str:
    """Of two documents the one that answers the query comes first."""
    documents = ["Bread goes with butter.", "The capital of France is Paris."]
    asked = {"query": "What is the capital of France?", "documents": documents}
    answer = whole_answer(gateway, model, "/v1/rerank", asked)
    try:
        ranked = [(each["index"], float(each["relevance_score"])) for each in answer["results"]]
        (best, high), (_, low) = ranked
    except (ValueError, LookupError, TypeError):
        raise _failed(model, "the answer is no ranking of two documents") from None
    if best != 1:
        raise Failed(
            f"model {model.name}: it ranks by something else than relevance ({high:.3f} before {low:.3f}): "
            f"is it served with the prompt that it was trained with (--chat-template)? {look(model)}"
        )
    return f"model {model.name}: ranked two documents, {high:.3f} before {low:.3f}"


def whole_answer(gateway: Gateway, model: Model, path: str, asked: dict[str, object]) -> dict[str, Any]:
    """The answer to a request that is not streamed. Raises Failed if there is none."""
    answer = gateway.ask(path, json.dumps({"model": model.asked_as, **asked}).encode())
    if answer.status != 200:
        raise _refused(gateway, model, answer)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _failed(model, "the answer is no JSON object")
    return found


def _refused(gateway: Gateway, model: Model, answer: Answer) -> Failed:
    return Failed(f"model {model.name}: {explain(answer, model, gateway.token())}")


def _failed(model: Model, reason: str) -> Failed:
    return Failed(f"model {model.name}: {reason}; {look(model)}")

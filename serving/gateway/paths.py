"""The allow-list of paths: what a model of each task answers, and what is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sizing.models.task import Task

MODELS_PATH = "/v1/models"

TASK_PATHS: Mapping[Task, tuple[str, ...]] = {
    "generate": ("/v1/chat/completions", "/v1/completions"),
    "embed": ("/v1/embeddings",),
    # Jina's and LiteLLM's clients use the first, Cohere's the second; the third is vLLM's own.
    "rerank": ("/v1/rerank", "/v2/rerank", "/v1/score"),
}
"""Paths of vLLM by task. It has shorter spellings (/rerank, /score), which no client needs."""

DOES: Mapping[Task, str] = {
    "generate": "generates text",
    "embed": "makes embeddings",
    "rerank": "ranks documents",
}
"""Each task in a sentence about a model."""

NOT_BUILT = (
    "is not served by this gateway. Set your client to Chat Completions (/v1/chat/completions); one that "
    "cannot needs a proxy that translates, such as LiteLLM's."
)
"""Why the two APIs of agents are refused, and what to do today. vLLM 0.32 has both and keeps nothing between
requests; what is missing is here: routes, counts and checks know the paths above only."""

REFUSED_FAMILIES: Mapping[str, str] = {
    "/v1/audio/": (
        "Audio is not served here: its multipart bodies name the model where the gateway does not read it."
    ),
    "/v1/responses": f"The Responses API {NOT_BUILT}",
    "/v1/messages": f"The Messages API {NOT_BUILT}",
}
"""Paths that OpenAI's clients may try, by their beginning, and why they lead nowhere."""


def all_paths() -> tuple[str, ...]:
    """Every path that takes a body."""
    return tuple(path for paths in TASK_PATHS.values() for path in paths)


def any_of(paths: Iterable[str]) -> str:
    """A regular expression for any of these paths."""
    return f"({'|'.join(path.replace('.', '[.]') for path in paths)})"

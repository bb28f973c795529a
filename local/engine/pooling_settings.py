"""What the flags make of a model that is not to generate: embeddings or scores, as vLLM decides it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from local.engine.refusal import Refused
from local.engine.tokens import BYTES_PER_TOKEN
from sizing.models.models import Model

Task = Literal["embed", "classify"]
"""In vLLM's words; a classifier with one label is what reranks."""

CLASSIFIER = "ForSequenceClassification"


@dataclass(frozen=True)
class Pooling:
    """An engine that reads prompts and generates nothing.

    dimensions: of an embedding. shorter: what else a request may ask for; None where the model cannot, empty
    where any number up to `dimensions` will do. template_tokens: what the score template puts around a query
    and a document.
    """

    task: Task
    dimensions: int
    shorter: frozenset[int] | None
    template_tokens: int


def pooling_settings(flags: argparse.Namespace, served: Model) -> Pooling | None:
    """None for an engine that generates. Raises Refused on what vLLM refuses and what is not emulated."""
    overrides = _overrides(flags.hf_overrides)
    runner = flags.runner or "auto"
    convert = flags.convert or "auto"
    if runner == "draft":
        raise Refused("the emulator has no draft models: --runner must be auto, generate or pooling")
    architectures = overrides.get("architectures")
    classifier = isinstance(architectures, list) and any(
        isinstance(name, str) and name.endswith(CLASSIFIER) for name in architectures
    )
    if runner == "generate" or (
        runner == "auto" and convert in ("auto", "none") and not _pools(served, classifier)
    ):
        if convert in ("embed", "classify"):
            raise Refused(f"`--runner generate` does not support `--convert {convert}`.")
        return None
    if convert == "none":
        raise Refused(
            "This model does not support `--runner pooling`. You can pass `--convert <embed|classify> to "
            "adapt it into a pooling model."
        )
    task: Task = "classify" if convert == "classify" or (convert == "auto" and classifier) else "embed"
    if task == "classify" and not overrides.get("classifier_from_token"):
        raise Refused(
            f"the checkpoint of {served.name} has no classifier: --hf-overrides must say with "
            "classifier_from_token which tokens its scores are made of"
        )
    return Pooling(
        task=task,
        dimensions=served.hidden_size,
        shorter=_shorter(overrides),
        template_tokens=_template_tokens(flags.chat_template),
    )


def _pools(served: Model, classifier: bool) -> bool:
    """What `--runner auto` finds: a sentence transformer, or an architecture that classifies."""
    return classifier or served.tasks == ("embed",)


def _overrides(text: str | None) -> Mapping[str, object]:
    if text is None:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"--hf-overrides is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused("--hf-overrides takes a JSON object.")
    return found


def _shorter(overrides: Mapping[str, object]) -> frozenset[int] | None:
    listed = overrides.get("matryoshka_dimensions")
    if isinstance(listed, list) and listed:
        return frozenset(each for each in listed if isinstance(each, int))
    return frozenset() if overrides.get("is_matryoshka") else None


def _template_tokens(template: str | None) -> int:
    """Tokens of the fixed text of a template; what is between braces stands for the two texts."""
    if template is None:
        return 0
    fixed = re.sub(r"\{[{%].*?[%}]\}", "", template, flags=re.DOTALL)
    return -(-len(fixed.encode()) // BYTES_PER_TOKEN)

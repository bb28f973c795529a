"""SUP-003: engines load one commit of a model, in formats that cannot carry code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.containers import judge_containers
from policies.engine_commands import EngineCommand, UnreadableArgumentError, engine_command
from policies.objects import Resource
from policies.pods import Container, pod_subjects
from policies.rule import Report, Rule, Settings

COMMIT = re.compile(r"[0-9a-f]{40}")

PICKLE_FORMATS = ("pt", "npcache")
"""Load formats of vLLM and SGLang that read .bin and .pt files: unpickling runs whatever they contain."""


WITHOUT_A_MODEL = ("ngram", "ngram_gpu", "suffix")
"""Methods of vLLM's speculative decoding that draft from the text itself, whatever `model` says."""


class Sup003Settings(Settings):
    pickle_formats: tuple[str, ...] = Field(
        default=PICKLE_FORMATS, description="values of --load-format that read pickles"
    )


def judge(resources: Sequence[Resource], settings: Sup003Settings, report: Report) -> None:
    def problems(container: Container) -> list[str]:
        command = engine_command(container)
        if command is None:
            return []
        try:
            return list(_problems(command, settings))
        except UnreadableArgumentError as error:
            return [f"{error}: give a literal value"]

    judge_containers(resources, report, problems)


def _problems(command: EngineCommand, settings: Sup003Settings) -> Iterator[str]:
    model = command.text("model")
    yield from _unpinned("--revision", "model", model, command.text("revision"))
    tokenizer = command.text("tokenizer")
    if tokenizer != model:
        yield from _unpinned(
            "--tokenizer-revision", "tokenizer", tokenizer, command.text("tokenizer_revision")
        )
    speculative = _speculative_model(command.text("speculative_config"))
    if speculative is not None:
        yield from _unpinned("revision in --speculative-config", "draft model", *speculative)
    load_format = command.text("load_format")
    if load_format is not None and load_format.lower() in settings.pickle_formats:
        yield (
            f"--load-format {load_format} reads pickled weights, which run code as they load: use safetensors"
        )


def _unpinned(flag: str, what: str, name: str | None, revision: str | None) -> Iterator[str]:
    # What is mounted was staged and checked by whoever staged it: a path has no revision.
    if name is None or name.startswith(("/", "./", "../")):
        return
    if "://" in name:
        yield (
            f"the {what} {name} is read from where it can be overwritten, and has no revision: stage it onto "
            "a volume and name its path"
        )
    elif revision is None:
        yield f"the {what} {name} is whatever its main branch holds today: give {flag} a commit"
    elif COMMIT.fullmatch(revision) is None:
        yield (
            f"the {what} {name} is pinned to {revision}, which can be moved: give {flag} a commit, 40 "
            "hexadecimal digits"
        )


def _speculative_model(config: str | None) -> tuple[str | None, str | None] | None:
    """Draft model of speculative decoding and its revision; None where it needs no model of its own."""
    if config is None:
        return None
    try:
        document = json.loads(config)
    except json.JSONDecodeError:
        raise UnreadableArgumentError(f"speculative_config is {config!r}, which is no JSON") from None
    if not isinstance(document, dict) or document.get("model") is None:
        return None
    if document.get("method") in WITHOUT_A_MODEL:
        return None
    revision = document.get("revision")
    return str(document["model"]), None if revision is None else str(revision)


RULE = Rule(
    id="SUP-003",
    description="Models are pinned by commit and loaded from formats that carry no code.",
    remediation="Stage the weights of one commit as safetensors and serve them from the volume, or give the "
    "engine --revision with 40 hexadecimal digits.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sup003Settings,
    subjects=pod_subjects,
    judge=judge,
)

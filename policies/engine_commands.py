"""The inference engine that a container starts, read from its image, command and arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from policies.pods import Container, Pod
from policies.properties import finite

EngineName = Literal["vllm", "sglang", "tgi"]


@dataclass(frozen=True)
class CommandLine:
    """How an engine is started. images: ends of its repositories. starts: words before its arguments.

    flags: our name of each argument, then the engine's spellings.
    """

    engine: EngineName
    images: tuple[str, ...]
    starts: tuple[tuple[str, ...], ...]
    flags: Mapping[str, tuple[str, ...]]


COMMAND_LINES = (
    CommandLine(
        "vllm",
        images=("vllm/vllm-openai", "vllm-openai"),
        starts=(("vllm", "serve"), ("-m", "vllm.entrypoints.openai.api_server")),
        flags={
            "model": ("--model",),
            "tensor_parallel": ("--tensor-parallel-size", "-tp"),
            "pipeline_parallel": ("--pipeline-parallel-size", "-pp"),
            "data_parallel": ("--data-parallel-size", "-dp"),
            "data_parallel_local": ("--data-parallel-size-local", "-dpl"),
            "max_model_len": ("--max-model-len",),
            "gpu_memory_utilization": ("--gpu-memory-utilization",),
            "quantization": ("--quantization", "-q"),
            "kv_cache_dtype": ("--kv-cache-dtype",),
            "max_num_batched_tokens": ("--max-num-batched-tokens",),
            "max_num_seqs": ("--max-num-seqs",),
            "enable_lora": ("--enable-lora",),
            "enforce_eager": ("--enforce-eager",),
            "trust_remote_code": ("--trust-remote-code",),
            "max_loras": ("--max-loras",),
            "max_lora_rank": ("--max-lora-rank",),
            "revision": ("--revision",),
            "load_format": ("--load-format",),
            "tokenizer": ("--tokenizer",),
            "tokenizer_revision": ("--tokenizer-revision",),
            "speculative_config": ("--speculative-config", "-sc"),
        },
    ),
    CommandLine(
        "sglang",
        images=("lmsysorg/sglang",),
        starts=(("-m", "sglang.launch_server"), ("sglang", "serve")),
        flags={
            "model": ("--model-path", "--model"),
            "tensor_parallel": ("--tensor-parallel-size", "--tp-size", "--tp"),
            "pipeline_parallel": ("--pipeline-parallel-size", "--pp-size"),
            "data_parallel": ("--data-parallel-size", "--dp-size", "--dp"),
            "max_model_len": ("--context-length",),
            "gpu_memory_utilization": ("--mem-fraction-static",),
            "quantization": ("--quantization",),
            "kv_cache_dtype": ("--kv-cache-dtype",),
            "max_num_seqs": ("--max-running-requests",),
            "trust_remote_code": ("--trust-remote-code",),
            "revision": ("--revision",),
            "load_format": ("--load-format",),
        },
    ),
    CommandLine(
        "tgi",
        images=("huggingface/text-generation-inference",),
        starts=(("text-generation-launcher",),),
        flags={
            "model": ("--model-id",),
            "tensor_parallel": ("--num-shard",),
            "max_model_len": ("--max-total-tokens",),
            "gpu_memory_utilization": ("--cuda-memory-fraction",),
            "quantization": ("--quantize",),
            "kv_cache_dtype": ("--kv-cache-dtype",),
            "trust_remote_code": ("--trust-remote-code",),
            "revision": ("--revision",),
        },
    ),
)

SUFFIXES = {"k": 1000, "m": 1000**2, "g": 1000**3, "K": 1024, "M": 1024**2, "G": 1024**3}
"""What vLLM takes at the end of a number of tokens: 16k is 16,000 and 16K is 16,384."""


class UnreadableArgumentError(ValueError):
    """An argument of an engine that the engine itself would refuse, or that only exists at run time."""


@dataclass(frozen=True)
class EngineCommand:
    """An engine and its arguments, by our names. version: tag of its image, if that is one."""

    engine: EngineName
    version: str | None
    arguments: Mapping[str, str]

    def text(self, name: str) -> str | None:
        value = self.arguments.get(name)
        if value is not None and "$(" in value:
            raise UnreadableArgumentError(f"{name} is {value}, which only the container knows")
        return value

    def number(self, name: str) -> float | None:
        """The number of this argument; None if it is left to the engine. Raises UnreadableArgumentError."""
        value = self.text(name)
        if value is None or value in ("auto", "-1"):
            return None
        number, factor = (value[:-1], SUFFIXES[value[-1]]) if value[-1:] in SUFFIXES else (value, 1)
        found = finite(number)
        if found is None:
            raise UnreadableArgumentError(f"{name} is {value!r}, which is no number")
        return found * factor

    def whole(self, name: str) -> int | None:
        """The same for a count, which is at least 1."""
        found = self.number(name)
        if found is None:
            return None
        if found < 1 or not found.is_integer():
            raise UnreadableArgumentError(f"{name} is {found:g}, which is no whole number above 0")
        return int(found)

    @property
    def gpus(self) -> int:
        """GPUs that the engine takes in its pod: tensor x pipeline x data parallel."""
        local = self.whole("data_parallel_local")
        data = self.whole("data_parallel") if local is None else local
        degrees = (self.whole("tensor_parallel"), self.whole("pipeline_parallel"), data)
        product = 1
        for degree in degrees:
            product *= 1 if degree is None else degree
        return product


def runs_engine(pod: Pod) -> bool:
    """Whether a container of the pod starts an engine that is known here."""
    return any(engine_command(container) is not None for container in pod.containers())


def engine_words(container: Container) -> list[str]:
    """What an engine is started with, word by word; nothing if `container` starts none."""
    return [] if engine_command(container) is None else _words(container)


def _words(container: Container) -> list[str]:
    return _substituted(
        [*container.section.texts("command"), *container.section.texts("args")], _environment(container)
    )


def engine_command(container: Container) -> EngineCommand | None:
    """The engine that `container` starts, or None if it starts none that is known here."""
    image = container.section.text("image") or ""
    words = _words(container)
    repository, tag = _repository_and_tag(image)
    for line in COMMAND_LINES:
        arguments = _after(words, line.starts)
        if arguments is None and any(repository.endswith(known) for known in line.images):
            arguments = words
        if arguments is not None:
            found = _read(arguments, line.flags)
            version = tag if re.match(r"v?\d+\.\d+", tag) else None
            return EngineCommand(line.engine, None if version is None else version.removeprefix("v"), found)
    return None


def _repository_and_tag(image: str) -> tuple[str, str]:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{head}{slash}{repository}", tag


def _environment(container: Container) -> dict[str, str]:
    """Environment variables with a value in the specification."""
    found = {}
    for variable in container.section.sections("env"):
        name, value = variable.text("name"), variable.text("value")
        if name is not None and value is not None:
            found[name] = value
    return found


def _substituted(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The words as Kubernetes passes them: $(NAME) replaced, shell scripts split into words."""
    found: list[str] = []
    for word in words:
        for name, value in environment.items():
            word = word.replace(f"$({name})", value)
        found += _script(word) if any(mark in word for mark in (" ", "\n")) else [word]
    return found


def _script(text: str) -> list[str]:
    """The words of a shell script, as in `sh -c "vllm serve ..."`; a text that is none stays one word."""
    if not any(start in text for start in ("vllm", "sglang", "text-generation-launcher")):
        return [text]
    try:
        return [word for word in shlex.split(text, comments=True) if word != "\\"]
    except ValueError:
        return [text]


def _after(words: Sequence[str], starts: Sequence[tuple[str, ...]]) -> Sequence[str] | None:
    for start in starts:
        for index in range(len(words) - len(start) + 1):
            candidate = tuple(word.rpartition("/")[2] for word in words[index : index + len(start)])
            if candidate == start:
                return words[index + len(start) :]
    return None


def _read(words: Sequence[str], flags: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    names = {spelling: name for name, spellings in flags.items() for spelling in spellings}
    found: dict[str, str] = {}
    if words and not words[0].startswith("-"):
        found["model"] = words[0]
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        # vLLM takes underscores for dashes.
        name = names.get(flag.replace("_", "-") if flag.startswith("--") else flag)
        if name is None:
            continue
        if equals:
            found[name] = value
        else:
            found[name] = words[index + 1] if index + 1 < len(words) else ""
    return found

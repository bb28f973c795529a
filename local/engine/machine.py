"""The machine that the emulator pretends to run on, as the environment describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.engine.refusal import Refused
from sizing.choices import UnknownNameError
from sizing.hardware.accelerators import Accelerator, accelerator

ACCELERATOR = "EMULATOR_ACCELERATOR"
GPUS = "EMULATOR_GPUS"
COLD_START_SCALE = "EMULATOR_COLD_START_SCALE"
LISTEN = "EMULATOR_LISTEN"
COMPILE_CACHE = "VLLM_CACHE_ROOT"
"""vLLM's own variable: where compiled code is kept for the next start."""

MAX_CHOICES = "VLLM_MAX_N_SEQUENCES"
"""vLLM's own variable: the largest `n` of a request."""

DEFAULT_MAX_CHOICES = "16384"

MAX_PROMPTS = "VLLM_MAX_COMPLETION_PROMPTS"
"""vLLM's own variable: the most prompts of one request for completions."""

DEFAULT_MAX_PROMPTS = "1024"


@dataclass(frozen=True)
class Machine:
    """accelerator, gpus: what the pod sees. cold_start_scale: share of the time that a start takes in a
    cloud.

    listen: address to bind instead of --host and --port, because all pods of a local cluster share one
    machine. max_choices: largest `n` of a request; max_prompts: the most prompts of one. compile_cache: where
    compiled code is kept; None keeps none.
    """

    accelerator: Accelerator
    gpus: int
    cold_start_scale: float
    listen: tuple[str, int] | None
    max_choices: int
    max_prompts: int
    compile_cache: Path | None = None


def machine_from(environment: Mapping[str, str]) -> Machine:
    """Reads the EMULATOR_ variables and vLLM's own; one L4 where they are not set.

    Raises Refused on a value that is none.
    """
    try:
        gpu = accelerator(environment.get(ACCELERATOR, "nvidia-l4"))
    except UnknownNameError as error:
        raise Refused(f"{ACCELERATOR}: {error}") from None
    cache = environment.get(COMPILE_CACHE)
    return Machine(
        accelerator=gpu,
        gpus=_whole_number(environment, GPUS, "1"),
        cold_start_scale=_number(environment, COLD_START_SCALE, "1"),
        listen=_listen(environment),
        max_choices=_whole_number(environment, MAX_CHOICES, DEFAULT_MAX_CHOICES),
        max_prompts=_whole_number(environment, MAX_PROMPTS, DEFAULT_MAX_PROMPTS),
        compile_cache=None if cache is None else Path(cache),
    )


def _listen(environment: Mapping[str, str]) -> tuple[str, int] | None:
    text = environment.get(LISTEN)
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Refused(f"{LISTEN}={text!r}: expected HOST:PORT, for example 127.0.0.1:8000")
    return host, int(port)


def _whole_number(environment: Mapping[str, str], name: str, default: str) -> int:
    value = _number(environment, name, default)
    if value != int(value):
        raise Refused(f"{name}={environment[name]!r}: expected a whole number")
    return int(value)


def _number(environment: Mapping[str, str], name: str, default: str) -> float:
    text = environment.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise Refused(f"{name}={text!r}: expected a number from 0 up")
    return value

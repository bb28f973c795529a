"""`python -m sizing.fit MODEL_OR_CONFIG_JSON --accelerator NAME`: the answer by hand.

Exit status: 0 it fits, 2 it does not, 1 the question cannot be answered.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from rich.console import Console

from sizing.choices import UnknownNameError
from sizing.fit.adapters import LORA_RANKS, AdapterSlots
from sizing.fit.advice import cheapest_alternative
from sizing.fit.explain import show_answer, show_sum
from sizing.fit.fit import fit
from sizing.fit.request import Engine, FitRequest, Measured, TypicalRequest
from sizing.fit.result import Fit
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import machine
from sizing.models.models import Model, load_model

DOES_NOT_FIT, NO_ANSWER = 2, 1


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        request = request_from(options)
        found = with_alternative(request, fit(request))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return NO_ANSWER
    if options.json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))
        if options.explain:
            show_sum(Console(stderr=True), request, found)
    else:
        console = Console(highlight=False)
        if options.explain:
            show_sum(console, request, found)
        show_answer(console, found)
    return 0 if found.fits else DOES_NOT_FIT


def with_alternative(request: FitRequest, found: Fit) -> Fit:
    """The same answer; one that is no also names the cheapest machine that would do."""
    if found.fits:
        return found
    longest = request.model.max_context
    if request.max_model_len is not None and request.max_model_len > longest:
        request = replace(request, max_model_len=longest)
    other = cheapest_alternative(request)
    says = "no machine with a known price would do" if other is None else f"cheapest that would: {other.text}"
    return replace(found, reason=f"{found.reason}; {says}")


def parser() -> argparse.ArgumentParser:
    """Options; memory in GiB per GPU, as engines log it."""
    made = argparse.ArgumentParser(
        prog="python -m sizing.fit",
        description="Does a model fit its GPUs, and how many tokens and requests are left room for? Exit "
        "status 0: it fits, 2: it does not, 1: there is no answer.",
        allow_abbrev=False,
    )
    made.add_argument("model", help="Hugging Face id of a known model, or the path of a config.json")
    made.add_argument("--accelerator", required=True, help="such as nvidia-l4 or nvidia-h100-80gb")
    made.add_argument("--tensor-parallel", type=_count, default=1, metavar="N")
    made.add_argument("--pipeline-parallel", type=_count, default=1, metavar="N")
    made.add_argument("--max-model-len", type=_count, metavar="N", help="tokens; default: the model's own")
    made.add_argument("--quantization", metavar="Q", help="such as fp8, to quantise while loading")
    made.add_argument("--kv-cache-dtype", default="auto", metavar="D", help="auto, fp8, ...")
    made.add_argument("--gpu-memory-utilization", type=_share, metavar="U", help="above 0, at most 1")
    made.add_argument("--max-num-batched-tokens", type=_count, metavar="N", help="tokens per step")
    made.add_argument("--max-num-seqs", type=_count, metavar="N", help="requests computed at once")
    made.add_argument("--max-loras", type=_count, metavar="N", help="LoRA adapters to keep room for")
    made.add_argument("--max-lora-rank", type=int, choices=LORA_RANKS, help="the largest of their ranks")
    made.add_argument("--engine", choices=get_args(Engine), default="vllm")
    made.add_argument("--engine-version", metavar="V", help="such as 0.32.0; default: the newest known")
    made.add_argument("--machine", metavar="NAME", help="machine type: also check host memory and disk")
    made.add_argument("--pod-memory-gib", type=_gib, metavar="X", help="host memory that the pod asks for")
    made.add_argument("--prompt-tokens", type=_count, metavar="N", help="of a typical request")
    made.add_argument("--output-tokens", type=_count, metavar="N", help="of a typical request")
    made.add_argument("--itl-seconds", type=_gib, metavar="X", help="time between tokens to keep")
    given = made.add_argument_group("figures of a log, GiB per GPU, instead of formula and constants")
    for name in ("usable", "weights", "activation", "non-torch", "cuda-graph", "kv-pool"):
        given.add_argument(f"--{name}-gib", type=_gib, metavar="X")
    made.add_argument("--json", action="store_true", help="one JSON object")
    made.add_argument("--explain", action="store_true", help="the sum, line by line")
    return made


def request_from(options: argparse.Namespace) -> FitRequest:
    """The request that these options make. Raises ValueError on a name or file that is none."""
    typical = None
    if options.prompt_tokens is not None or options.output_tokens is not None:
        if options.prompt_tokens is None or options.output_tokens is None:
            raise ValueError("--prompt-tokens and --output-tokens go together")
        typical = TypicalRequest(options.prompt_tokens, options.output_tokens)
    return FitRequest(
        model=_model(options.model),
        accelerator=accelerator(options.accelerator),
        engine=options.engine,
        engine_version=options.engine_version,
        tensor_parallel=options.tensor_parallel,
        pipeline_parallel=options.pipeline_parallel,
        max_model_len=options.max_model_len,
        quantization=options.quantization,
        kv_cache_dtype=options.kv_cache_dtype,
        adapters=_adapters(options),
        gpu_memory_utilization=options.gpu_memory_utilization,
        max_num_batched_tokens=options.max_num_batched_tokens,
        max_num_seqs=options.max_num_seqs,
        measured=Measured(
            usable_gib=options.usable_gib,
            weights_gib=options.weights_gib,
            activation_gib=options.activation_gib,
            non_torch_gib=options.non_torch_gib,
            cuda_graph_gib=options.cuda_graph_gib,
            kv_pool_gib=options.kv_pool_gib,
        ),
        typical_request=typical,
        itl_seconds=options.itl_seconds,
        machine=None if options.machine is None else machine(options.machine),
        pod_memory_gib=options.pod_memory_gib,
    )


def _adapters(options: argparse.Namespace) -> AdapterSlots | None:
    """Either option asks for room; the other then has the engine's default."""
    if options.max_loras is None and options.max_lora_rank is None:
        return None
    return AdapterSlots.given(options.max_loras, options.max_lora_rank)


def _model(name_or_path: str) -> Model:
    try:
        return load_model(name_or_path)
    except UnknownNameError as error:
        raise ValueError(f"{error}. For any other, give the path of its config.json") from None


def _count(text: str) -> int:
    try:
        value = int(text.replace("_", ""))
    except ValueError:
        value = 0
    if not 1 <= value <= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 1")
    return value


def _gib(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

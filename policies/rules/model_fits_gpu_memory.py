"""GPU-001: weights and one request of the full context fit the memory of the chosen GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulumi_policy import EnforcementLevel, Severity
from pydantic import Field

from policies.engine_commands import EngineCommand, UnreadableArgumentError, engine_command
from policies.node_pools import NodePool, node_pools, reach
from policies.objects import Resource
from policies.pods import Pod, pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings
from sizing.capacity.limits import default_running
from sizing.choices import valid_choices
from sizing.fit import FitRequest, fit
from sizing.fit.adapters import AdapterSlots
from sizing.hardware.accelerators import ACCELERATORS, Accelerator
from sizing.labels import MODEL_ANNOTATION, MODEL_PATH
from sizing.models.architecture import RecurrentState
from sizing.models.models import MODELS, Model


class Gpu001Settings(Settings):
    model_names: Mapping[str, str] = Field(
        default={},
        description="what a program calls a model, such as a path in its image, and the row of "
        "sizing/models/data/models.yaml that it is",
    )


def judge(resources: Sequence[Resource], settings: Gpu001Settings, report: Report) -> None:
    pools = node_pools(resources)
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            for container in pod.containers():
                command = engine_command(container)
                if command is None:
                    continue
                try:
                    problems = _problems(command, pod, pools, settings)
                except UnreadableArgumentError as error:
                    problems = [f"{error}: give a literal value"]
                for problem in problems:
                    violation(f"container {container.name}: {problem}")


def _problems(
    command: EngineCommand, pod: Pod, pools: Sequence[NodePool], settings: Gpu001Settings
) -> list[str]:
    name = command.text("model") or ""
    # Staged weights have a path; the pod says which model they are.
    described = pod.annotations().get(MODEL_ANNOTATION, name) if name == MODEL_PATH else name
    known = settings.model_names.get(name, described)
    model = MODELS.get(known)
    if model is None:
        return [
            f'nobody knows whether "{known}" fits: {valid_choices(known, MODELS)}. Add its row to '
            "sizing/models/data/models.yaml, or say in model_names which row it is"
        ]
    accelerators = sorted(reach(pod, pools).accelerators & set(ACCELERATORS))
    if not accelerators:
        return [
            f"nobody knows whether {known} fits: the node selector of its pod leads to no kind of GPU. "
            "Select a registered node pool, or a machine type or accelerator of sizing/hardware/data"
        ]
    # The autoscaler may buy any of them, so it has to fit each.
    return [
        f"{known} does not fit on {_degree(command, 'tensor_parallel')} x {accelerator}: {reason}"
        for accelerator in accelerators
        if (reason := _refusal(_request(command, model, ACCELERATORS[accelerator])))
    ]


def _refusal(request: FitRequest) -> str:
    """Why it does not fit, or cannot be started at all; empty if it fits."""
    try:
        return fit(request).reason
    except ValueError as error:
        # A quantisation or data type that the engine does not know, or not for this model.
        return str(error)


def _request(command: EngineCommand, model: Model, accelerator: Accelerator) -> FitRequest:
    return FitRequest(
        model=model,
        accelerator=accelerator,
        engine=command.engine,
        engine_version=command.version,
        tensor_parallel=_degree(command, "tensor_parallel"),
        pipeline_parallel=_degree(command, "pipeline_parallel"),
        max_model_len=_context(command),
        quantization=command.text("quantization"),
        kv_cache_dtype=command.text("kv_cache_dtype") or "auto",
        adapters=_adapters(command),
        gpu_memory_utilization=command.number("gpu_memory_utilization"),
        max_num_batched_tokens=command.whole("max_num_batched_tokens"),
        max_num_seqs=_sequences(command, model, accelerator),
        enforce_eager="enforce_eager" in command.arguments,
        trust_remote_code="trust_remote_code" in command.arguments,
    )


def _adapters(command: EngineCommand) -> AdapterSlots | None:
    """What the engine keeps memory for."""
    if "enable_lora" not in command.arguments:
        return None
    return AdapterSlots.given(command.whole("max_loras"), command.whole("max_lora_rank"))


def _context(command: EngineCommand) -> int | None:
    """Tokens that one request must have room for. With `auto` vLLM takes what is left, so one is enough."""
    return 1 if command.text("max_model_len") in ("auto", "-1") else command.whole("max_model_len")


def _sequences(command: EngineCommand, model: Model, accelerator: Accelerator) -> int | None:
    """--max-num-seqs, or for a model that not every number starts the engine's own default."""
    given = command.whole("max_num_seqs")
    recurrent = any(isinstance(layer.cache, RecurrentState) for layer in model.architecture.layers)
    return default_running(accelerator) if given is None and recurrent else given


def _degree(command: EngineCommand, name: str) -> int:
    degree = command.whole(name)
    return 1 if degree is None else degree


RULE = Rule(
    id="GPU-001",
    description="Weights and one request of max_model_len fit the memory of the chosen GPUs.",
    remediation="Use more or larger GPUs, a shorter max_model_len, fewer adapters, or fp8 weights or cache. "
    "`python -m sizing.fit MODEL --accelerator NAME --explain` shows the sum.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    scope="stack",
    settings=Gpu001Settings,
    subjects=pod_subjects,
    judge=judge,
)

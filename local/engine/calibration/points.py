"""Reads measured latencies: the rows that say something about one engine on its own GPUs below saturation.

The columns are engine, model, gpu, precision, tensor_parallel, pipeline_parallel, attention_data_parallel,
expert_parallel, prompt_tokens, output_tokens, concurrency, ttft_ms, tpot_ms, measured: the public
silicon_sample.csv of NVIDIA aiconfigurator (Apache-2.0), reduced to one table.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from sizing.models.architecture import BYTES_PER_VALUE
from sizing.models.models import MODELS

SATURATED_MS = 6000
"""A longer time to first token is waiting for memory or batch slots, which is the scheduler's part, not a
step's."""

MINIMUM_POINTS = 8
"""Three constants need more points than that to say anything about their error."""

GPUS = {
    "h100_sxm": "nvidia-h100-80gb",
    "h200_sxm": "nvidia-h200-141gb",
    "b200_sxm": "nvidia-b200",
    "b300_sxm": "nvidia-b300",
}
MODEL_IDS = {
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B-Instruct",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-235B-A22B-FP8": "Qwen/Qwen3-235B-A22B",
}
"""Names in the measurements of models that sizing/models/data/models.yaml has under another."""

PRECISIONS = {("openai/gpt-oss-120b", "fp4"): "mxfp4", ("Qwen/Qwen3-32B", ""): "bf16"}


@dataclass(frozen=True)
class Configuration:
    model: str
    accelerator: str
    precision: str
    tensor_parallel: int

    @property
    def name(self) -> str:
        return f"{self.model} {self.precision}, {self.tensor_parallel} x {self.accelerator}"


@dataclass(frozen=True)
class Point:
    """Means of one measurement: `concurrency` requests in flight, all of the same lengths."""

    prompt_tokens: int
    output_tokens: int
    concurrency: int
    ttft_ms: float
    tpot_ms: float
    measured: str
    engine_version: str

    @property
    def step_terms(self) -> tuple[float, float, float]:
        """What alpha, beta and gamma are multiplied with in the mean step.

        A request of I prompt and O output tokens is computed in O + 1 steps' worth of I + O tokens, and its
        context is I + O/2 tokens on average.
        """
        whole = self.prompt_tokens + self.output_tokens
        return (
            1.0,
            self.concurrency * whole / (self.output_tokens + 1),
            self.concurrency * (self.prompt_tokens + self.output_tokens / 2),
        )


def read_points(path: Path) -> dict[Configuration, list[Point]]:
    """vLLM's measurements by configuration, without pipeline, data or expert parallelism.

    Raises KeyError on a missing column, ValueError on a number that is none.
    """
    points: defaultdict[Configuration, list[Point]] = defaultdict(list)
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            model = MODEL_IDS.get(row["model"], row["model"])
            precision = PRECISIONS.get((model, row["precision"]), row["precision"])
            plain = all(
                row[column] in ("", "0", "1")
                for column in ("pipeline_parallel", "attention_data_parallel", "expert_parallel")
            )
            known = row["engine"] == "vllm" and row["gpu"] in GPUS and model in MODELS
            if not (plain and known and precision in BYTES_PER_VALUE):
                continue
            if float(row["ttft_ms"]) >= SATURATED_MS:
                continue
            configuration = Configuration(model, GPUS[row["gpu"]], precision, int(row["tensor_parallel"]))
            points[configuration].append(
                Point(
                    int(row["prompt_tokens"]),
                    int(row["output_tokens"]),
                    int(row["concurrency"]),
                    float(row["ttft_ms"]),
                    float(row["tpot_ms"]),
                    row["measured"],
                    row["engine_version"],
                )
            )
    return {
        configuration: rows
        for configuration, rows in sorted(points.items(), key=lambda item: item[0].name)
        if len(rows) >= MINIMUM_POINTS
    }

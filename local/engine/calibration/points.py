"""Reads measured latencies: the rows that say something about one engine on its own GPUs.

The columns are those of COLUMNS: the public silicon_sample.csv of NVIDIA aiconfigurator (Apache-2.0), reduced
to one table.
"""

from __future__ import annotations

import csv
import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sizing.models.architecture import BYTES_PER_VALUE
from sizing.models.models import MODELS

MOST_STREAMS = 256
"""More requests in flight look like several replicas behind one address."""

SATURATED_MS = 6000
"""A longer time to first token is waiting for memory or places in the batch: not a step's part."""

WIDEST_REPEATS = 1.25
"""Repeats of one measurement that differ by a larger factor say nothing, and are left out by name."""

PUBLISHED = Path(__file__).parent / "data" / "published.csv"
"""Single measurements of small models that others published, in the same columns, with their source."""

GPUS = {
    "a100_sxm": "nvidia-a100-80gb",
    "h100_sxm": "nvidia-h100-80gb",
    "h200_sxm": "nvidia-h200-141gb",
    "b200_sxm": "nvidia-b200",
    "b300_sxm": "nvidia-b300",
}
MODEL_IDS = {
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B-Instruct",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-235B-A22B-FP8": "Qwen/Qwen3-235B-A22B",
    # The same text model: layers, experts and attention.
    "moonshotai/Kimi-K2.5": "moonshotai/Kimi-K2-Instruct",
}
"""Names in the measurements of models that sizing/models/data/models.yaml has under another."""

PRECISIONS = {("openai/gpt-oss-120b", "fp4"): "mxfp4", ("Qwen/Qwen3-32B", ""): "bf16"}
OTHER_PRECISIONS = {"fp4": "nvfp4"}


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
    def shape(self) -> tuple[int, int, int]:
        return self.prompt_tokens, self.output_tokens, self.concurrency


@dataclass(frozen=True)
class Measurements:
    """points: by configuration, repeats of one measurement by their median. scattered: those left out because
    repeats differ by more than WIDEST_REPEATS, one line each."""

    points: Mapping[Configuration, Sequence[Point]]
    scattered: Sequence[str]


def unsaturated(points: Mapping[Configuration, Sequence[Point]]) -> dict[Configuration, list[Point]]:
    """Without the measurements in which requests wait for memory or places: fewer than `concurrency` run."""
    running = {
        configuration: [point for point in measured if point.ttft_ms < SATURATED_MS]
        for configuration, measured in points.items()
    }
    return {configuration: measured for configuration, measured in running.items() if measured}


class TableError(ValueError):
    """A table that cannot be read; the message names the file, what is wrong and what is expected."""


def read_points(path: Path, most_streams: int = MOST_STREAMS) -> Measurements:
    """vLLM's measurements by configuration, without pipeline, data or expert parallelism.

    Raises TableError on a file that is missing, a missing column, and a number that is none.
    """
    found: defaultdict[Configuration, defaultdict[tuple[int, int, int], list[Point]]] = defaultdict(
        lambda: defaultdict(list)
    )
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                try:
                    configuration, point = _configuration(row), _point(row)
                except KeyError as error:
                    raise TableError(f"{path}: no column {error}; needed are {', '.join(COLUMNS)}") from None
                except (TypeError, ValueError) as error:
                    raise TableError(f"{path}, line {number}: {error}") from None
                if configuration is not None and point.concurrency <= most_streams:
                    found[configuration][point.shape].append(point)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: cannot be read as CSV: {error}") from None
    kept: dict[Configuration, list[Point]] = {}
    scattered: list[str] = []
    for configuration, shapes in sorted(found.items(), key=lambda item: item[0].name):
        for (prompt, output, streams), repeats in sorted(shapes.items()):
            times = [point.tpot_ms for point in repeats]
            if max(times) / min(times) > WIDEST_REPEATS:
                scattered.append(
                    f"{configuration.name}, {prompt}/{output} tokens, {streams} streams: "
                    + ", ".join(f"{time:g}" for time in times)
                    + " ms per token"
                )
            else:
                kept.setdefault(configuration, []).append(_median(repeats))
    return Measurements(kept, scattered)


COLUMNS = (
    "engine", "engine_version", "model", "gpu", "precision", "tensor_parallel", "pipeline_parallel",
    "attention_data_parallel", "expert_parallel", "prompt_tokens", "output_tokens", "concurrency", "ttft_ms",
    "tpot_ms", "measured",
)  # fmt: skip


def _configuration(row: Mapping[str, str]) -> Configuration | None:
    """None for what is not vLLM, not plain, or of a model, GPU or precision that is not known."""
    model = MODEL_IDS.get(row["model"], row["model"])
    precision = PRECISIONS.get((model, row["precision"]))
    if precision is None:
        precision = OTHER_PRECISIONS.get(row["precision"], row["precision"])
    plain = all(
        row[column] in ("", "0", "1")
        for column in ("pipeline_parallel", "attention_data_parallel", "expert_parallel")
    )
    known = row["engine"] == "vllm" and row["gpu"] in GPUS and model in MODELS
    if not (plain and known and precision in BYTES_PER_VALUE):
        return None
    return Configuration(model, GPUS[row["gpu"]], precision, int(row["tensor_parallel"]))


def _point(row: Mapping[str, str]) -> Point:
    point = Point(
        int(row["prompt_tokens"]),
        int(row["output_tokens"]),
        int(row["concurrency"]),
        float(row["ttft_ms"]),
        float(row["tpot_ms"]),
        row["measured"],
        row["engine_version"],
    )
    if min(point.prompt_tokens, point.output_tokens, point.concurrency) < 1 or not point.tpot_ms > 0:
        raise ValueError("lengths, concurrency and tpot_ms must be above 0")
    return point


def _median(repeats: Sequence[Point]) -> Point:
    versions = sorted({point.engine_version for point in repeats})
    return dataclasses.replace(
        repeats[0],
        ttft_ms=statistics.median(point.ttft_ms for point in repeats),
        tpot_ms=statistics.median(point.tpot_ms for point in repeats),
        engine_version=", ".join(version for version in versions if version),
    )

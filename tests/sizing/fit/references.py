"""Predictions beside public logs: `python -m tests.sizing.fit.references` renews docs/fit-errors.md and .png.

The picture needs matplotlib, which nothing else of the package does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from sizing.fit.concurrency import Pool, pool_of
from sizing.fit.fit import fit
from sizing.fit.memory import memory_by_stage, setting
from sizing.fit.request import FitRequest, Measured
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model
from sizing.models.weights import GIB
from sizing.tables import read_data

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Reference:
    """A row of references.yaml, which says what the fields mean."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    model: str
    version: str
    accelerator: str
    utilization: float
    context: int
    source: str
    usable: float | None = None
    tensor_parallel: int = 1
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    step_tokens: int | None = None
    measured: Measured = field(default_factory=Measured)
    pool: float | None = None
    blocks: int | None = None
    tokens: int | None = None
    concurrency: float | None = None
    needed: float | None = None
    blind: bool = False

    def request(self, measured: Measured) -> FitRequest:
        """The start that this log is of."""
        return FitRequest(
            model=model(self.model),
            accelerator=accelerator(self.accelerator),
            engine_version=self.version,
            tensor_parallel=self.tensor_parallel,
            max_model_len=self.context,
            quantization=self.quantization,
            kv_cache_dtype=self.kv_cache_dtype,
            gpu_memory_utilization=self.utilization,
            max_num_batched_tokens=self.step_tokens,
            measured=measured,
        )

    def logged_pool(self) -> Pool:
        """The pool of the log, in blocks."""
        request = self.request(Measured(kv_pool_gib=self.logged_pool_gib()))
        chosen = setting(request)
        return pool_of(chosen, memory_by_stage(chosen)[0])

    def logged_pool_gib(self) -> float:
        """Memory of the logged pool. Raises ValueError if the log says neither memory nor blocks."""
        if self.pool is not None:
            return self.pool
        if self.blocks is None:
            raise ValueError(f"{self.name}: neither pool nor blocks")
        chosen = setting(self.request(Measured(kv_pool_gib=1.0)))
        block = pool_of(chosen, memory_by_stage(chosen)[0]).layout.block_bytes
        return self.blocks * block / GIB


@dataclass(frozen=True)
class Comparison:
    """One figure of a log beside its prediction. given: what the prediction was made from."""

    name: str
    quantity: str
    given: str
    logged: float
    predicted: float

    @property
    def error(self) -> float:
        return self.predicted / self.logged - 1


@cache
def references() -> Mapping[str, Reference]:
    """Every row by name."""
    path = Path(__file__).parent / "references.yaml"
    adapter = TypeAdapter(Reference)
    rows = read_data(path)
    return {name: adapter.validate_python({**row, "name": name}) for name, row in rows.items()}


def comparisons(row: Reference) -> list[Comparison]:
    """Every figure of the log that can be checked: the pool from the logged overheads, tokens and concurrency
    from the logged pool, and the pool from constants alone."""
    found: list[Comparison] = []
    if row.measured != Measured() and row.pool is not None:
        predicted = fit(row.request(row.measured)).kv_pool_gib
        found.append(Comparison(row.name, "KV pool, GiB", "logged overheads", row.pool, predicted))
    answer = fit(row.request(Measured(kv_pool_gib=row.logged_pool_gib())))
    pool = row.logged_pool()
    from_pool = "logged pool"
    if row.tokens is not None:
        found.append(Comparison(row.name, "tokens", from_pool, row.tokens, answer.kv_tokens))
    if row.concurrency is not None:
        requests = Comparison(row.name, "concurrency", from_pool, row.concurrency, answer.max_concurrency)
        found.append(requests)
    if row.needed is not None:
        needed = pool.needed_gib(row.context)
        found.append(Comparison(row.name, "GiB of one request", from_pool, row.needed, needed))
    if row.blind and row.pool is not None:
        blind = fit(row.request(Measured(usable_gib=row.usable))).kv_pool_gib
        found.append(Comparison(row.name, "KV pool, GiB", "constants alone", row.pool, blind))
    return found


def table(found: Sequence[Comparison]) -> str:
    """The comparisons as Markdown."""
    lines = [
        "| log | figure | predicted from | log says | predicted | error |",
        "|---|---|---|---:|---:|---:|",
    ]
    for one in found:
        lines.append(
            f"| {one.name} | {one.quantity} | {one.given} | {one.logged:,g} | {one.predicted:,.6g} | "
            f"{one.error:+.2%} |"
        )
    return "\n".join(lines) + "\n"


def picture(found: Sequence[Comparison], path: Path) -> None:
    """Draws the error of each prediction, those from constants alone apart from the others."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(found) + 1.4), layout="constrained")
    for index, one in enumerate(found):
        blind = one.given == "constants alone"
        color, limit = ("tab:orange", 8.0) if blind else ("tab:blue", 1.0)
        axes.barh(index, 2 * limit, left=-limit, color=color, alpha=0.12)
        axes.plot(100 * one.error, index, "o", color=color)
    axes.set_yticks(range(len(found)), [f"{one.name}: {one.quantity} from {one.given}" for one in found])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("error, per cent (band: allowed by the tests)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> int:
    found = [one for row in references().values() for one in comparisons(row)]
    (ROOT / "docs" / "fit-errors.md").write_text(table(found), encoding="utf-8")
    picture(found, ROOT / "docs" / "fit-errors.png")
    print(table(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

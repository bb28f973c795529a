"""The sum line by line, for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sizing.fit.request import FitRequest
from sizing.fit.result import Fit


def show_sum(console: Console, request: FitRequest, found: Fit) -> None:
    """Prints every term of the sum with where it comes from."""
    gpus = request.tensor_parallel * request.pipeline_parallel
    title = f"{request.model.name} on {gpus} x {request.accelerator.name}, {request.engine}"
    table = Table(title=f"{title}: GiB of each GPU", title_justify="left")
    table.add_column("")
    table.add_column("GiB", justify="right")
    table.add_column("where it comes from", overflow="fold")
    for line in found.lines:
        table.add_row(line.label, "" if line.gib is None else f"{line.gib:.2f}", line.source)
    console.print(table)


def show_answer(console: Console, found: Fit) -> None:
    """Prints what follows from the sum."""
    console.print("fits" if found.fits else f"does not fit: {found.reason}", soft_wrap=True)
    console.print(
        f"KV pool {found.kv_pool_gib:.2f} GiB per GPU (+-{found.uncertainty_pct:g} %), {found.kv_tokens:,} "
        f"tokens, {found.kv_bytes_per_token:,} bytes per further token",
        soft_wrap=True,
    )
    console.print(
        f"{found.max_concurrency:.2f} requests of full context at once, longest context "
        f"{found.max_context:,}, --max-num-seqs {found.max_num_seqs}",
        soft_wrap=True,
    )
    for warning in found.warnings:
        console.print(f"note: {warning}", soft_wrap=True)

"""`make bench`: how long the main jobs take on this machine, as JSON and as docs/benchmarks.md.

Everything runs in a cluster and a Pulumi state of its own, on loopback, and is gone afterwards. Absolute
times on a shared machine mean little; the rows of one run can be compared with each other.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Before local.paths is imported: the benchmark must not touch a cluster that is in use.
_FOLDER = tempfile.TemporaryDirectory(prefix="llm-platform-bench-")
os.environ["LLM_PLATFORM_STATE"] = str(Path(_FOLDER.name) / "state")

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from datetime import UTC, datetime  # noqa: E402

import psutil  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markdown import Markdown  # noqa: E402

from local.bench_stack import stack_file  # noqa: E402
from local.cluster import cluster  # noqa: E402
from local.engine.benchmark import Plan, Result  # noqa: E402
from local.engine.benchmark import measure as throughput  # noqa: E402
from local.paths import BIN, ROOT, STATE  # noqa: E402
from local.up import STACK, environment, stack_options  # noqa: E402

SIZES = (1, 10, 50)
EMULATOR_LOAD = Plan(replicas=4, streams=16, requests=3, tokens=200)
SAMPLE_SECONDS = 0.1
"""How often the memory of the program is read: it lives for seconds, and its peak is at the end."""


class BenchmarkError(Exception):
    """A measured command failed; the text holds the end of its output."""


@dataclass(frozen=True)
class Deployment:
    """One stack of `models` models, each one replica on its own L4 machine."""

    models: int
    preview_seconds: float
    up_seconds: float
    no_op_seconds: float
    destroy_seconds: float
    program_peak_mib: float
    """Largest resident memory of the Python process that runs the program."""


@dataclass(frozen=True)
class FirstToken:
    up_seconds: float
    """`python -m local up` with the toolchain cached: nothing running to the first token of both models."""
    no_op_up_seconds: float
    """A plain `pulumi up` after it."""


@dataclass(frozen=True)
class Machine:
    cores: int
    memory_gib: float
    platform: str


@dataclass(frozen=True)
class Report:
    date: str
    machine: Machine
    first_token: FirstToken
    deployments: list[Deployment]
    emulator: Result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "benchmarks.json")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of models")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        report = measure(console, arguments.sizes)
    except BenchmarkError as failure:
        console.print(f"[red]error[/red]: {failure}")
        return 1
    finally:
        cluster.down()
        _FOLDER.cleanup()
    arguments.json.parent.mkdir(exist_ok=True)
    arguments.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    arguments.report.write_text(markdown(report))
    console.print(Markdown(markdown(report)))
    console.print(f"written to {arguments.json} and {arguments.report}")
    return 0


def measure(console: Console, sizes: Sequence[int]) -> Report:
    """Runs everything; takes about five minutes for the default sizes on two cores.

    Raises BenchmarkError with the end of the output of the command that failed.
    """
    console.print("emulator throughput, four replicas")
    emulator = throughput(EMULATOR_LOAD)
    console.print("nothing running to the first token")
    first_token = FirstToken(
        up_seconds=_timed([sys.executable, "-m", "local", "up"]),
        no_op_up_seconds=_timed(_pulumi("up", "--yes", "--skip-preview", *stack_options())),
    )
    _run(_pulumi("destroy", "--yes", "--skip-preview", *stack_options()))
    deployments: list[Deployment] = []
    for models in sizes:
        console.print(f"a stack of {models} model{'s' if models > 1 else ''}")
        deployments.append(_deployment(models))
    machine = Machine(
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )
    return Report(datetime.now(UTC).date().isoformat(), machine, first_token, deployments, emulator)


def markdown(report: Report) -> str:
    """The report as docs/benchmarks.md."""
    machine, first, emulator = report.machine, report.first_token, report.emulator
    rows = "\n".join(
        f"| {row.models} | {row.up_seconds:.1f} s | {row.preview_seconds:.1f} s | {row.no_op_seconds:.1f} s "
        f"| {row.destroy_seconds:.1f} s | {row.program_peak_mib:.0f} MiB |"
        for row in report.deployments
    )
    return f"""\
# Benchmarks

Written by `make bench`; the same numbers are in `benchmarks.json`. Absolute times on a shared machine mean
little: compare rows of one run. Measured {report.date} on {machine.cores} cores, {machine.memory_gib:g} GiB,
{machine.platform}.

## First token

`make up` with the toolchain cached, from nothing running to a streamed token of each model:
**{first.up_seconds:.1f} s**. A plain `pulumi up` after it, with nothing to do:
**{first.no_op_up_seconds:.1f} s**.

## Pulumi, by number of models

Each model is one replica on its own L4 machine: `up` includes buying the machines, starting the engines and
the verify Job's request to every model.

| models | `up` | preview | no-op `up` | destroy | program's peak memory |
|---:|---:|---:|---:|---:|---:|
{rows}

## Engine emulator

{emulator.plan.replicas} replicas, {emulator.plan.replicas * emulator.plan.streams} open streams, read by a
client on the same machine: **{emulator.tokens_per_second:,.0f} tokens/s**, {emulator.tokens_per_event:.2f}
tokens per event.
"""


def _deployment(models: int) -> Deployment:
    config = Path(_FOLDER.name) / f"Pulumi.{models}-models.yaml"
    config.write_text(stack_file(models))
    options = ["--stack", STACK, "--config-file", str(config)]
    with _program_memory() as peak:
        return Deployment(
            models=models,
            preview_seconds=_timed(_pulumi("preview", *options)),
            up_seconds=_timed(_pulumi("up", "--yes", "--skip-preview", *options)),
            no_op_seconds=_timed(_pulumi("up", "--yes", "--skip-preview", *options)),
            destroy_seconds=_timed(_pulumi("destroy", "--yes", "--skip-preview", *options)),
            program_peak_mib=peak.mib,
        )


def _pulumi(verb: str, *options: str) -> list[str]:
    return [str(BIN / "pulumi"), verb, "--non-interactive", *options]


def _timed(command: list[str]) -> float:
    started = time.monotonic()
    _run(command)
    return round(time.monotonic() - started, 2)


def _run(command: list[str]) -> None:
    answer = subprocess.run(
        command,
        cwd=ROOT,
        env=environment() if STATE.exists() else dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        end = "\n".join((answer.stdout + answer.stderr).splitlines()[-25:])
        raise BenchmarkError(f"{' '.join(command)} ended with {answer.returncode}:\n{end}")


class _Peak:
    mib = 0.0


@contextmanager
def _program_memory() -> Iterator[_Peak]:
    """Samples the largest resident memory of any process that runs the Pulumi program."""
    peak = _Peak()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            for process in psutil.Process().children(recursive=True):
                try:
                    command = " ".join(process.cmdline())
                    if "local.pulumi.language" in command or "pulumi-language-python-exec" in command:
                        peak.mib = max(peak.mib, round(process.memory_info().rss / 2**20, 1))
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())

"""`make cpu-bench BASE=COMMIT`: CPU time of the program, `make check` and `make plan` beside another commit.

No cluster is needed. Both run in turn, with the same other load on the machine, so the ratio of two runs says
more than either time alone: the median of these ratios is what counts.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Before local.paths is imported: the stack that is measured names files of its own.
_FOLDER = tempfile.TemporaryDirectory(prefix="llm-platform-bench-")
os.environ["LLM_PLATFORM_STATE"] = str(Path(_FOLDER.name) / "state")

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402

import yaml  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from infra.local import KUBECONFIG_EXTENSION  # noqa: E402
from local.bench_stack import stack_file  # noqa: E402
from local.gateway_benchmark.cost.commits import commit_of, unpack  # noqa: E402
from local.gateway_benchmark.servers import ServerError  # noqa: E402
from local.paths import JWKS, KEYS, KUBECONFIG, ROOT  # noqa: E402
from stacks.signing_keys import KeyFiles  # noqa: E402

STACK = "bench"

RUN_PROGRAM = """\
import asyncio, runpy, sys, yaml
from pulumi.runtime import set_all_config
from pulumi.runtime.mocks import Mocks, set_mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

class Echo(Mocks):
    def new_resource(self, args):
        return args.name, args.inputs
    def call(self, args):
        return {}

import json
config = yaml.load(open(sys.argv[1]), Loader=yaml.CSafeLoader)["config"]
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
set_mocks(Echo(), project="llm-platform", stack="bench", preview=False)
set_root_resource(None)
set_all_config({key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()})
loop.run_until_complete(run_in_stack(lambda: runpy.run_path("__main__.py", run_name="__main__")))
"""
"""The entry point of a checkout, as Pulumi runs it, with the SDK's own stand-in for the engine."""


class BenchmarkError(Exception):
    """A measured command failed; the text holds the end of its output."""


@dataclass(frozen=True)
class Job:
    """CPU seconds of one command, run by run: in `base` and in the checkout as it is, in turn."""

    name: str
    base: tuple[float, ...]
    today: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Today beside base: the median of the pairs."""
        return statistics.median(new / old for old, new in zip(self.base, self.today, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.bench_cpu", description=__doc__)
    parser.add_argument("--base", required=True, help="a commit of this repository")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        base = unpack(commit_of(options.base), Path(_FOLDER.name))
        jobs = measure(base, options.models, options.rounds)
    except (ServerError, BenchmarkError) as failure:
        console.print(f"[red]error[/red]: {failure}")
        return 1
    finally:
        _FOLDER.cleanup()
    console.print(_table(jobs, options.base, options.models))
    if options.json:
        report = {
            "base": options.base,
            "models": options.models,
            "jobs": [{**asdict(job), "ratio": round(job.ratio, 3)} for job in jobs],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(base: Path, models: int, rounds: int) -> list[Job]:
    """Runs each job `rounds` times in each tree after one run that does not count. Raises BenchmarkError."""
    stack = _stack(models)
    today = Path(_FOLDER.name) / "today"
    _copy_of_checkout(today)
    for tree in (base, today):
        (tree / "stacks" / f"Pulumi.{STACK}.yaml").write_bytes(stack.read_bytes())
    jobs = []
    for name in _commands(today, stack):
        seconds: dict[Path, list[float]] = {base: [], today: []}
        for counted in (False, *[True] * rounds):
            for tree in (base, today):
                used = _cpu_seconds(_commands(tree, stack)[name], tree)
                if counted:
                    seconds[tree].append(used)
        jobs.append(Job(name, tuple(seconds[base]), tuple(seconds[today])))
    return jobs


def _stack(models: int) -> Path:
    """The stack file, and the files that it names."""
    cluster = {"prometheus": "http://prometheus.invalid", "hub": "https://hub.invalid"}
    extension = {"name": KUBECONFIG_EXTENSION, "extension": cluster}
    server = {"server": "https://127.0.0.1:1", "extensions": [extension]}
    KUBECONFIG.parent.mkdir(parents=True)
    KUBECONFIG.write_text(yaml.safe_dump({"clusters": [{"name": "none", "cluster": server}]}))
    KeyFiles(STACK, JWKS, KEYS).create()
    path = Path(_FOLDER.name) / f"Pulumi.{STACK}.yaml"
    path.write_text(stack_file(models), encoding="utf-8")
    return path


def _copy_of_checkout(place: Path) -> None:
    """The files that git knows, as they are now: the stack file must not lie in the checkout itself."""
    place.mkdir()
    archive = f"git ls-files -z | tar --create --null --files-from - | tar --extract --directory '{place}'"
    subprocess.run(["bash", "-o", "pipefail", "-c", archive], cwd=ROOT, check=True)


def _commands(tree: Path, stack: Path) -> Mapping[str, Sequence[str]]:
    # Older commits have the check at another place.
    has_commands = (tree / "stacks" / "commands" / "policy_check.py").is_file()
    check = "stacks.commands.policy_check" if has_commands else "stacks.check"
    return {
        "program": [sys.executable, "-c", RUN_PROGRAM, str(stack)],
        "make check": [sys.executable, "-m", check, STACK],
        "make plan": [sys.executable, "-m", "stacks.plan", STACK],
    }


def _cpu_seconds(command: Sequence[str], tree: Path) -> float:
    """CPU time of a command with all that it starts and waits for. Raises BenchmarkError."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=tree, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            end = "\n".join(output.read().decode(errors="replace").splitlines()[-25:])
            raise BenchmarkError(f"{command[-2:]} in {tree} ended with {process.returncode}:\n{end}")
    return usage.ru_utime + usage.ru_stime


def _table(jobs: Sequence[Job], base: str, models: int) -> Table:
    table = Table(title=f"CPU time with {models} models, median", title_justify="left")
    for heading in ("command", base, "today", f"today / {base}"):
        table.add_column(heading)
    for job in jobs:
        seconds = (statistics.median(job.base), statistics.median(job.today))
        table.add_row(job.name, *(f"{value:.2f} s" for value in seconds), f"{job.ratio:.2f}")
    return table


if __name__ == "__main__":
    sys.exit(main())

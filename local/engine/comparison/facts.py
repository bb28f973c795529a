"""What was seen of a real vLLM, kept in files: the flag table that the emulator reads, and what tests hold it
to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from local.engine.comparison.environment import VLLM_VERSION, real_vllm_environment, real_vllm_python
from local.engine.comparison.exchanges import EXCHANGES, Shape, send
from local.engine.comparison.metric_families import Family, as_data, families, from_data
from local.engine.comparison.servers import RunningServer, ServerFailed, page
from local.engine.flags import TABLE

OBSERVED = Path(__file__).parent / "observed.json"
INSPECTION = Path(__file__).parent / "inspect_vllm.py"
SOURCE = (
    f"vllm {VLLM_VERSION}, tiny random Llama on a CPU, by `python -m local.engine.comparison --write-facts`"
)


@dataclass(frozen=True)
class Observed:
    """What a server shows: its metric families before and after the exchanges, and the shapes of its
    answers."""

    idle: Mapping[str, Family]
    used: Mapping[str, Family]
    answers: Mapping[str, Shape]


@dataclass(frozen=True)
class Inspection:
    """What vLLM's own parser knows: its flags, and a complaint or None for each command line it was given."""

    flags: list[dict[str, Any]]
    verdicts: list[str | None]


def observe(server: RunningServer) -> Observed:
    """Sends every exchange once. Raises httpx.TransportError if the server stops answering."""
    idle = families(page(server))
    with httpx.Client(timeout=60) as client:
        answers = {exchange.name: send(exchange, server, client) for exchange in EXCHANGES}
    return Observed(idle, families(page(server)), answers)


def inspect(command_lines: Sequence[Sequence[str]]) -> Inspection:
    """Asks the real vLLM's parser. Raises ServerFailed if it cannot be loaded."""
    finished = subprocess.run(
        [real_vllm_python(), INSPECTION],
        input=json.dumps(command_lines),
        env=real_vllm_environment(),
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise ServerFailed(f"{INSPECTION.name} ended with {finished.returncode}:\n{finished.stderr[-2000:]}")
    document = json.loads(finished.stdout)
    return Inspection(document["flags"], document["verdicts"])


def write_flags(inspection: Inspection) -> None:
    rows = [
        {key: value for key, value in row.items() if value not in (None, False)} for row in inspection.flags
    ]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    source = json.dumps(f"vllm {VLLM_VERSION}, printed by local/engine/comparison/inspect_vllm.py")
    TABLE.write_text(f'{{"source": {source},\n "flags": [\n{lines}\n]}}\n', encoding="utf-8")


def write_observed(observed: Observed) -> None:
    document = {
        "source": SOURCE,
        "idle": as_data(observed.idle),
        "used": as_data(observed.used),
        "answers": {name: asdict(shape) for name, shape in observed.answers.items()},
    }
    OBSERVED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_observed() -> Observed:
    """What the real vLLM showed when the file was written."""
    document = json.loads(OBSERVED.read_text(encoding="utf-8"))
    answers = {name: Shape(**shape) for name, shape in document["answers"].items()}
    return Observed(from_data(document["idle"]), from_data(document["used"]), answers)


def kept_flags() -> list[dict[str, Any]]:
    return json.loads(TABLE.read_text(encoding="utf-8"))["flags"]

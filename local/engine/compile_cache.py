"""What vLLM keeps of a compilation: here a file that says that there was one, for a shorter next start."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from local.engine.settings import Engine

FOLDER = Path("torch_compile_cache") / "torch_aot_compile"
"""As vLLM 0.32 has it below VLLM_CACHE_ROOT."""


def compiled_path(root: Path, engine: Engine, version: str) -> Path:
    """Where the code of this engine is kept: its name changes with all that the code depends on."""
    depends_on = [
        version,
        engine.model.name,
        engine.accelerator.name,
        engine.tensor_parallel,
        engine.precision,
        engine.step_tokens,
        engine.max_running,
        engine.kv_cache_dtype,
    ]
    digest = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()
    return root / FOLDER / digest[:32] / "rank_0_0" / "model"


def save(path: Path) -> None:
    """Keeps the compiled code: written aside and renamed, as vLLM does, since other replicas read here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text("no code: the emulator compiles nothing\n")
    fresh.replace(path)

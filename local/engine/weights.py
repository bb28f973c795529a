"""The folder whose weights vLLM would load: what it holds, and whether it is whole.

The emulator computes with none of it. It refuses what vLLM would fail on after minutes: a folder that is
missing, or files that are not those of the manifest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local.engine.refusal import Refused
from serving.weights.layout import MANIFEST, STAGING
from sizing.choices import UnknownNameError
from sizing.models.huggingface import ConfigError, UnsupportedModelError
from sizing.models.models import Model, load_model, model

HASHED_BYTES = 16 * 1024 * 1024
"""Files up to this size are hashed. Of larger ones the size is compared: hashing 15 GiB would take as long as
loading them, and whoever staged them has done it."""


class File(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """What the staging Job wrote beside the files."""

    model_config = ConfigDict(frozen=True)

    id: str
    revision: str
    source: str
    files: tuple[File, ...]


def is_folder(name: str) -> bool:
    """Whether vLLM is given a path, and not a repository's name."""
    return name.startswith(("/", "./", "../"))


def model_in(folder: Path) -> Model:
    """The model whose weights a folder holds. Raises Refused."""
    manifest = checked(folder)
    try:
        if manifest is not None:
            return model(manifest.id)
        if not any(folder.glob("*.safetensors")):
            raise Refused(f"{folder}: Cannot find any model weights: no .safetensors file in the folder.")
        return load_model(str(folder))
    except UnknownNameError as error:
        raise Refused(
            f"the emulator knows only the models of sizing/models/data/models.yaml: {error}"
        ) from None
    except (ConfigError, UnsupportedModelError) as error:
        raise Refused(str(error)) from None


def checked(folder: Path) -> Manifest | None:
    """The manifest of a folder whose files are all as it says; None for a folder that has none.

    Raises Refused.
    """
    if not folder.is_dir():
        raise Refused(
            f"{folder}: no such folder. vLLM takes it for a repository on the hub then, and may not ask the "
            "hub (HF_HUB_OFFLINE): have the weights been staged? kubectl get jobs -n inference"
        )
    path = folder / MANIFEST
    if not path.is_file():
        if any((folder / STAGING).glob("*-*")):
            raise Refused(
                f"{folder}: the weights are still being staged: {MANIFEST} is written once all of them are "
                "verified. kubectl get jobs -n inference shows the Job"
            )
        return None
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise Refused(f"{path} is no manifest of the staging Job: {error.errors()[0]['msg']}") from None
    for file in manifest.files:
        problem = _problem(folder / file.path, file)
        if problem is not None:
            raise Refused(
                f"{folder}: {file.path} {problem}: it is not the file of {manifest.id} "
                f"{manifest.revision[:8]} that was staged"
            )
    return manifest


def _problem(path: Path, file: File) -> str | None:
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != file.size:
        return f"has {size} bytes and not {file.size}"
    if size <= HASHED_BYTES and hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
        return "has another checksum"
    return None

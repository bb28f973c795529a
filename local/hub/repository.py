"""The files of an imitated repository: true config.json fields, a stub of a tokenizer, made-up weights. Pure.

A revision decides the bytes of the weights, so two revisions of a model differ as they do on the hub.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sizing.models import models
from sizing.models.models import ModelRow
from sizing.tables import read_table

REVISION = re.compile(r"[0-9a-f]{40}")
ADAPTER = re.compile(r"[\w.-]+/[\w.-]*(lora|adapter)[\w.-]*", re.IGNORECASE)
"""What an adapter's repository is called here: the table knows models only."""

SHARD_BYTES = 64 * 1024
ADAPTER_RANK = 16
IMITATION = "made up by the local imitation of the Hugging Face hub"

_ROWS: Mapping[str, ModelRow] = read_table(Path(models.__file__).parent / "data" / "models.yaml", ModelRow)


@dataclass(frozen=True)
class File:
    """A file of a repository. stored: whether it is kept outside git (LFS), as weights are."""

    path: str
    content: bytes
    stored: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        """Git's id: of the content, or of the pointer that stands for what is stored elsewhere."""
        content = self.pointer if self.stored else self.content
        header = b"blob %d\0" % len(content)
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()

    @property
    def pointer(self) -> bytes:
        size = len(self.content)
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()


@cache
def repository(name: str, revision: str) -> Mapping[str, File] | None:
    """Files by path; None for a repository or a revision that does not exist."""
    if REVISION.fullmatch(revision) is None:
        return None
    if name in _ROWS:
        files = _model(_ROWS[name], revision)
    elif ADAPTER.fullmatch(name):
        files = _adapter(name, revision)
    else:
        return None
    return {file.path: file for file in files}


def _model(row: ModelRow, revision: str) -> list[File]:
    shards = {
        "model-00001-of-00002.safetensors": ["model.embed_tokens.weight"],
        "model-00002-of-00002.safetensors": ["model.norm.weight"],
    }
    weight_map = {tensor: shard for shard, tensors in shards.items() for tensor in tensors}
    index = {"metadata": {"total_size": SHARD_BYTES * len(shards)}, "weight_map": weight_map}
    return [
        _text("README.md", f"# {row.name}\n\n{IMITATION}\n"),
        _json("config.json", row.config),
        _json("generation_config.json", {"do_sample": False}),
        _json("tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}),
        _json("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        _json("model.safetensors.index.json", index),
        *(
            File(shard, _safetensors(f"{row.name}@{revision}/{shard}", tensors), stored=True)
            for shard, tensors in shards.items()
        ),
    ]


def _adapter(name: str, revision: str) -> list[File]:
    config = {
        "peft_type": "LORA",
        "r": ADAPTER_RANK,
        "lora_alpha": 2 * ADAPTER_RANK,
        "target_modules": ["q_proj", "v_proj"],
    }
    weights = _safetensors(f"{name}@{revision}", ["base_model.model.q_proj.lora_A.weight"])
    return [
        _text("README.md", f"# {name}\n\n{IMITATION}\n"),
        _json("adapter_config.json", config),
        File("adapter_model.safetensors", weights, stored=True),
    ]


def _safetensors(seed: str, tensors: list[str]) -> bytes:
    """A file in the format of safetensors: the header's length, the header, the values."""
    each = SHARD_BYTES // len(tensors)
    header: dict[str, object] = {"__metadata__": {"format": "pt", "note": IMITATION}}
    for index, tensor in enumerate(tensors):
        offsets = [index * each, (index + 1) * each]
        header[tensor] = {"dtype": "BF16", "shape": [each // 2], "data_offsets": offsets}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + hashlib.shake_128(seed.encode()).digest(each * len(tensors))


def _json(path: str, value: object) -> File:
    return _text(path, json.dumps(value, indent=2) + "\n")


def _text(path: str, text: str) -> File:
    return File(path, text.encode(), stored=False)

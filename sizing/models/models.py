"""Facts about models, by Hugging Face id or from a config.json: what decides memory and parallelism."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import ClassVar, get_args

from pydantic import ConfigDict

from sizing.choices import UnknownNameError
from sizing.models.architecture import Architecture, LatentCache, Precision, Quantization
from sizing.models.chat import KnownParsers
from sizing.models.huggingface import ConfigError, architecture, read_config
from sizing.models.huggingface.families import FOREIGN_CODE
from sizing.models.task import Task
from sizing.models.weights import ONLINE_FP8, checkpoint_gib, gpu_weights_gib, whole
from sizing.tables import read_table

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class ForeignCode:
    """Code of a repository that an engine needs to start the model. It is neither staged nor run here.

    needs: what is missing. instead: rows that are started without. source, as_of: of the fact.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    needs: str
    instead: tuple[str, ...]
    source: str
    as_of: date | None

    @property
    def text(self) -> str:
        """Why it cannot be started, and what can."""
        starting = f". Without it start: {', '.join(self.instead)}" if self.instead else ""
        return (
            f"{self.needs}, which runs only with --trust-remote-code: weights are staged without code, and "
            f"no engine here is given that flag{starting}"
        )


@dataclass(frozen=True)
class ModelRow:
    """A row of data/models.yaml. config: fields of the repository's config.json; the rest as in Model.

    chat_template: name of a file beside the table.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    parameters_billion: float
    active_parameters_billion: float
    config: Mapping[str, object]
    as_of: date
    source: str
    tasks: tuple[Task, ...] = ("generate",)
    hf_overrides: Mapping[str, object] = field(default_factory=dict)
    chat_template: str | None = None
    parsers: KnownParsers | None = None
    foreign_code: ForeignCode | None = None


@dataclass(frozen=True)
class Model:
    """One model.

    name: Hugging Face id, or the path of the config.json it was read from. parameters_billion,
    active_parameters_billion: in all, and used per token (they differ for experts). architecture: everything
    that its config.json says. tasks: what it was trained for; any is possible for a config.json, which does
    not say it. hf_overrides, chat_template: what an engine must be told beside the repository to do its task.
    parsers: of tools and thoughts; None where no row says it. foreign_code: what an engine needs and is not
    given; None for a model that starts.
    """

    name: str
    parameters_billion: float
    active_parameters_billion: float
    architecture: Architecture
    as_of: date | None
    source: str
    tasks: tuple[Task, ...] = ("generate",)
    # Equal models are equal with it; a mapping only cannot be hashed.
    hf_overrides: Mapping[str, object] = field(default_factory=dict, hash=False)
    chat_template: str | None = None
    parsers: KnownParsers | None = None
    foreign_code: ForeignCode | None = None

    @property
    def layers(self) -> int:
        return len(self.architecture.layers)

    @property
    def hidden_size(self) -> int:
        return self.architecture.hidden_size

    @property
    def attention_heads(self) -> int:
        return self.architecture.attention_heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values; 1 for latent attention, whose cache is the same on every GPU."""
        return self.architecture.kv_heads

    @property
    def head_dim(self) -> int:
        return self.architecture.head_dim

    @property
    def vocabulary(self) -> int:
        return self.architecture.vocabulary

    @property
    def max_context(self) -> int:
        """Tokens, with the rope scaling of the model's own configuration and no other."""
        return self.architecture.max_context

    @property
    def checkpoint(self) -> Precision:
        """Precision of the weights in the repository."""
        return self.architecture.quantization.precision

    @cached_property
    def weights_gib(self) -> Mapping[str, float]:
        """Memory of the weights on one GPU, by the precisions that can be served: the checkpoint's own, and
        of a 16-bit checkpoint also what quantising while loading makes of it."""
        served = {self.checkpoint: self.architecture.quantization}
        if self.architecture.quantization.method is None:
            served["fp8"] = ONLINE_FP8
        return {precision: self._weights_gib(method) for precision, method in served.items()}

    @cached_property
    def download_gib(self) -> float:
        """What a start without a cache downloads and keeps on disk."""
        return checkpoint_gib(self.architecture)

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Bytes that each further token of a long context adds to the cache of one replica on all its GPUs.

        Per layer 2 (key and value) x kv_heads x head_dim x bytes_per_value, or the latent vector's width.
        Layers that keep only a window or a recurrent state cost per sequence, not per token.
        """
        values, index_bytes = self._grown
        return values * bytes_per_value + index_bytes

    @cached_property
    def _grown(self) -> tuple[int, int]:
        """Values, and bytes of indexes, of one token in the caches that grow with it."""
        caches = self.architecture.grown
        latent = [cache for cache in caches if isinstance(cache, LatentCache)]
        heads = [cache for cache in caches if not isinstance(cache, LatentCache)]
        values = sum(cache.width for cache in latent)
        values += sum(cache.values_per_token(tensor_parallel=1) for cache in heads)
        return values, sum(cache.index_bytes for cache in latent)

    def _weights_gib(self, quantization: Quantization) -> float:
        return gpu_weights_gib(self.architecture, quantization, 1, whole(self.architecture))


def _model(row: ModelRow) -> Model:
    described = architecture(row.config, f"sizing/models/data/models.yaml: {row.name}")
    return Model(
        name=row.name,
        parameters_billion=row.parameters_billion,
        active_parameters_billion=row.active_parameters_billion,
        architecture=described,
        as_of=row.as_of,
        source=row.source,
        tasks=row.tasks,
        hf_overrides=row.hf_overrides,
        chat_template=None if row.chat_template is None else (DATA / row.chat_template).read_text("utf-8"),
        parsers=row.parsers,
        foreign_code=row.foreign_code,
    )


class _Models(Mapping[str, Model]):
    """Rows by name, each made into a model when it is asked for: a plan has two of thirty."""

    def __init__(self, rows: Mapping[str, ModelRow]) -> None:
        self._rows = rows
        self._made: dict[str, Model] = {}

    def __getitem__(self, name: str) -> Model:
        if name not in self._made:
            self._made[name] = _model(self._rows[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


MODELS: Mapping[str, Model] = _Models(read_table(DATA / "models.yaml", ModelRow))


def model(name: str) -> Model:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return MODELS[name]
    except KeyError:
        raise UnknownNameError("model", name, MODELS) from None


def is_config_path(name_or_path: str) -> bool:
    """Whether this names a config.json, or a folder that holds one, rather than a model."""
    try:
        return name_or_path.endswith(".json") or (Path(name_or_path) / "config.json").is_file()
    except OSError:  # longer than a path can be
        return False


def load_model(name_or_path: str) -> Model:
    """The model of this Hugging Face id, or the one that a config.json describes.

    Raises UnknownNameError for an id that has no row, ConfigError (huggingface) for a file that cannot be
    used, and its UnsupportedModelError for a model whose memory follows no formula here.
    """
    if not is_config_path(name_or_path):
        if name_or_path.startswith(("/", ".")):
            raise ConfigError(f"{name_or_path}: neither a .json file nor a folder with a config.json")
        return model(name_or_path)
    described = architecture(read_config(Path(name_or_path)), name_or_path)
    return Model(
        name=name_or_path,
        parameters_billion=described.parameters / 1e9,
        active_parameters_billion=described.active_parameters / 1e9,
        architecture=described,
        as_of=None,
        source=f"{name_or_path}; parameters by formula",
        tasks=get_args(Task),
        foreign_code=_foreign_code(described.family),
    )


def _foreign_code(model_type: str) -> ForeignCode | None:
    needs = FOREIGN_CODE.get(model_type)
    return None if needs is None else ForeignCode(needs, (), "transformers 5.19.0 and vLLM 0.32.0", None)

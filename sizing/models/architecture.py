"""What a model is made of: its weights by component, and what each of its layers keeps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

Component = Literal[
    "embedding",
    "output",
    "attention",
    "linear attention",
    "mlp",
    "experts",
    "shared experts",
    "router",
    "norm",
    "vision",
]

Precision = Literal["bf16", "fp8", "int8", "int4", "mxfp4", "nvfp4"]

BYTES_PER_VALUE: Mapping[str, float] = {
    "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.52, "mxfp4": 0.53125, "nvfp4": 0.5625,
}  # fmt: skip
"""Bytes of one weight with its scales: int4 in groups of 128 with a 16-bit scale and a 4-bit zero, mxfp4 one
byte per 32, nvfp4 one per 16. Scales of 8-bit weights are a ten-thousandth."""

LINEAR: frozenset[Component] = frozenset(
    {"attention", "linear attention", "mlp", "experts", "shared experts"}
)
"""What quantisation reaches unless a checkpoint says otherwise. Embeddings, output layer, router and norms
stay in 16 bits."""


@dataclass(frozen=True)
class ExpertShape:
    """Width of one expert and of what goes in: kernels for 4-bit floats pad both."""

    width: int
    hidden: int


@dataclass(frozen=True)
class Held:
    """How values are held, and bytes of one with its scales."""

    precision: Precision
    bytes_per_value: float


IN_16_BIT = Held("bf16", 2.0)


@dataclass(frozen=True)
class Module:
    """A linear layer as checkpoints name it, within its layer; `*` stands for the number of an expert, all of
    whose parameters are counted here."""

    name: str
    parameters: int


@dataclass(frozen=True)
class Weight:
    """Some parameters of one component.

    ways: GPUs that tensor parallelism can divide them over, 1 for a copy on each, None for any number.
    copied_in_16_bit: parameters that an engine keeps a second time in 16 bits, beside these.
    modules: the layers of the checkpoint that they belong to, where quantisation can differ among them.
    held: how a checkpoint that names modules holds these; None is what its Quantization says of all.
    """

    component: Component
    parameters: int
    ways: int | None = None
    expert: ExpertShape | None = None
    copied_in_16_bit: int = 0
    modules: tuple[Module, ...] = field(default=(), hash=False)
    held: Held | None = None

    def divided_by(self, tensor_parallel: int) -> int:
        """GPUs among which these parameters are really divided."""
        return tensor_parallel if self.ways is None else min(tensor_parallel, self.ways)


@dataclass(frozen=True)
class AttentionCache:
    """Keys and values. window: the newest tokens that are kept; chunk: of local attention. None keeps all."""

    kv_heads: int
    head_dim: int
    value_dim: int
    window: int | None = None
    chunk: int | None = None

    @property
    def grows(self) -> bool:
        """Whether each further token takes more memory, whatever the length."""
        return self.window is None and self.chunk is None

    def heads_on_gpu(self, tensor_parallel: int) -> int:
        """Beyond kv_heads GPUs the heads are copied, not divided."""
        return max(1, ceil(self.kv_heads / tensor_parallel))

    def values_per_token(self, tensor_parallel: int) -> int:
        return self.heads_on_gpu(tensor_parallel) * (self.head_dim + self.value_dim)


@dataclass(frozen=True)
class LatentCache:
    """One compressed vector per token (multi-head latent attention), the same on every GPU.

    index_width: width of the index key that sparse attention keeps beside it; 0 without.
    """

    width: int
    index_width: int = 0

    @property
    def index_bytes(self) -> int:
        """An index key is kept in 8 bits whatever the cache is, with a 32-bit scale per 128 values."""
        return self.index_width + 4 * ceil(self.index_width / 128)


@dataclass(frozen=True)
class RecurrentState:
    """State of linear attention: a fixed size per sequence, divided among GPUs by heads.

    convolution_values: the last inputs of its convolution, 16 bits each. state_values: state_bytes each.
    """

    convolution_values: int
    state_values: int
    state_bytes: int

    def bytes_on_gpu(self, tensor_parallel: int) -> int:
        values = self.convolution_values // tensor_parallel * 2
        return values + self.state_values // tensor_parallel * self.state_bytes


LayerCache = AttentionCache | LatentCache | RecurrentState


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer as the engine builds it, which an adapter has two narrow matrices for.

    inputs, outputs: its width on both sides. parts: layers of the checkpoint that are stacked in it and have
    matrices of their own, such as queries, keys and values. divided: the side that tensor parallelism
    divides. head_outputs, heads: those among the outputs that belong to heads of keys and values, which are
    copied where there are more GPUs than heads. experts: copies of it, one for each.
    """

    inputs: int
    outputs: int
    parts: int = 1
    divided: Literal["inputs", "outputs", "neither"] = "neither"
    head_outputs: int = 0
    heads: int = 1
    experts: int = 1


@dataclass(frozen=True)
class Layer:
    """One layer. cache: None where a layer reads the cache of an earlier one. linear: without norms."""

    cache: LayerCache | None
    weights: tuple[Weight, ...]
    linear: tuple[LinearLayer, ...] = ()


@dataclass(frozen=True)
class AdapterSupport:
    """What an engine does with adapters of a model, beside those of its layers.

    refusal: why it takes none; empty if it does. input, output: embeddings and output layer, where adapters
    may have matrices for them too. uncounted: layers that take adapters and follow no formula here.
    """

    refusal: str = ""
    input: LinearLayer | None = None
    output: LinearLayer | None = None
    uncounted: str = ""


@dataclass(frozen=True)
class Quantization:
    """How a checkpoint holds its weights.

    method: as config.json names it; None for a 16-bit checkpoint. bytes_per_value: scales and zeros included.
    components: those held in `precision`; the rest is in 16 bits. Where weights say how they are held, it is
    that instead, and `precision` is what most of the quantised parameters have. eight_bit_cache: scales for
    an 8-bit KV cache are part of the checkpoint, and engines use them by themselves.
    """

    precision: Precision
    method: str | None
    bytes_per_value: float
    components: frozenset[Component]
    eight_bit_cache: bool = False


@dataclass(frozen=True)
class Architecture:
    """A model as its config.json describes it.

    outer: weights outside the layers, without `output` if it shares the embedding's. experts,
    experts_per_token: 0 for a dense model. compute_dtype: of activations, bfloat16 or float16.
    adapters: what an engine can do with LoRA adapters of it.
    """

    family: str
    layers: tuple[Layer, ...]
    outer: tuple[Weight, ...]
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_context: int
    experts: int
    experts_per_token: int
    compute_dtype: Literal["bfloat16", "float16"]
    quantization: Quantization
    adapters: AdapterSupport

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Every weight, outer ones first."""
        return (*self.outer, *(weight for layer in self.layers for weight in layer.weights))

    @property
    def parameters(self) -> int:
        return sum(weight.parameters for weight in self.weights)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token passes through: of the experts only those it is sent to."""
        experts = sum(weight.parameters for weight in self.weights if weight.component == "experts")
        if experts == 0:
            return self.parameters
        return self.parameters - experts + experts * self.experts_per_token // self.experts

    @property
    def grown(self) -> tuple[AttentionCache | LatentCache, ...]:
        """Caches that each further token of a long context adds to; all of attention where every layer has a
        window, because up to that length they do."""
        caches = [layer.cache for layer in self.layers]
        kept = [cache for cache in caches if isinstance(cache, AttentionCache | LatentCache)]
        grown = [cache for cache in kept if isinstance(cache, LatentCache) or cache.grows]
        return tuple(grown if grown else kept)

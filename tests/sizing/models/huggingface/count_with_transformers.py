"""Writes transformers_counts.json: parameters and caches of transformers' own models of many shapes.

    python -m tests.sizing.models.huggingface.count_with_transformers

runs in an environment with transformers 5.19, PyTorch and this repository's packages. Parameters are counted
on PyTorch's meta device, which holds no values; caches are those of a small model of zeros that has read 60
tokens. In the small model of each family every field of its class is changed in turn, and fields of other
classes as well, so that each one must change both counts or neither.
"""

from __future__ import annotations

import datetime
import importlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sizing.models.huggingface.defaults import DECIDING, DEFAULTS, READ_OF_ANY
from sizing.models.huggingface.families import FAMILIES
from sizing.models.huggingface.generate_defaults import CLASSES

OUTPUT = Path(__file__).parent / "transformers_counts.json"
PUBLIC = Path(__file__).parent / "public_shapes.yaml"

TOKENS = 60

SMALL: Mapping[str, int] = {
    "hidden_size": 320, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 2, "head_dim": 48, "vocab_size": 1000, "max_position_embeddings": 512,
    "sliding_window": 16, "attention_chunk_size": 16, "max_window_layers": 3, "intermediate_size_mlp": 600,
    "moe_intermediate_size": 96, "num_experts": 8, "num_local_experts": 8, "n_routed_experts": 8,
    "moe_num_experts": 8, "shared_expert_intermediate_size": 160, "num_experts_per_tok": 2, "moe_k": 2,
    "kv_lora_rank": 64, "q_lora_rank": 96, "qk_rope_head_dim": 16, "qk_nope_head_dim": 32, "v_head_dim": 32,
    "index_n_heads": 4, "index_head_dim": 32, "index_topk": 8, "linear_num_key_heads": 4,
    "linear_num_value_heads": 8, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
    "hidden_size_per_layer_input": 24, "vocab_size_per_layer_input": 900, "global_head_dim": 96,
}  # fmt: skip
"""Sizes that no two parts share, of the fields that a class declares."""

BY_FAMILY: Mapping[str, Mapping[str, object]] = {
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "ministral": {"head_dim": 48},
}
"""What a class has no usable default for."""

TOKEN_IDS = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": None}
"""Within the small vocabulary."""

OTHER: Mapping[str, object] = {
    "head_dim": 80, "attention_bias": True, "mlp_bias": True, "use_bias": True, "attention_out_bias": True,
    "use_qk_norm": True, "first_k_dense_replace": 2, "decoder_sparse_step": 2, "mlp_only_layers": [1, 3],
    "num_kv_shared_layers": 2, "n_shared_experts": 2, "num_shared_experts": 2, "v_head_dim": 24,
    "shared_expert_intermediate_size": 200, "shared_intermediate_size": 200, "intermediate_size_mlp": 512,
    "tie_word_embeddings": True, "q_lora_rank": None, "kv_lora_rank": 48, "num_experts": 4,
    "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "interleave_moe_layer_step": 2,
    "moe_layers": [1, 3], "mlp_layer_types": ["dense", "sparse"] * 3, "moe_layer_start_index": 2,
    "moe_layer_end_index": 4, "moe_layer_interval": 2, "sliding_window": 8, "sliding_window_pattern": 2,
    "use_sliding_window": True, "no_rope_layers": [0, 1, 0, 1, 0, 1], "global_head_dim": 64,
    "num_global_key_value_heads": 1, "attention_k_eq_v": True, "use_double_wide_mlp": True,
    "full_attention_interval": 2, "linear_conv_kernel_dim": 2, "hidden_size_per_layer_input": 0,
    "num_key_value_heads": None, "index_topk_freq": 2, "moe_intermediate_size": 64, "max_window_layers": 2,
}  # fmt: skip
"""One more value for each of these fields, which only some classes declare."""


def base_of(family: str) -> dict[str, object]:
    """The small model of a family."""
    declared = DEFAULTS.text[family].fields
    base: dict[str, object] = {
        name: value
        for name, value in SMALL.items()
        if declared.get(name) is not None or (name == "num_key_value_heads" and name in declared)
    }
    if FAMILIES[family].attention == "latent":
        base["num_key_value_heads"] = 8
        base.pop("head_dim", None)
    return {**base, **BY_FAMILY.get(family, {})}


def changes_of(family: str) -> Iterator[dict[str, object]]:
    """The small model as it is, and with each field changed in turn."""
    yield {}
    declared, base = DEFAULTS.text[family].fields, base_of(family)
    for name in sorted(declared.keys() | (OTHER.keys() & (DECIDING | READ_OF_ANY))):
        values = [OTHER[name]] if name in OTHER else []
        now = base.get(name, declared.get(name))
        if isinstance(now, bool):
            values = [not now]
        elif isinstance(now, int) and name in declared:
            values += [2 * now, now + 8]
        yield from ({name: value} for value in values if value != now)


def caches_of(model: Any, latent: bool) -> str:
    """What each layer keeps after TOKENS tokens: values of keys + values of values per token @ tokens kept,
    `state`, or `latent`; equal layers that follow each other are counted."""
    torch = importlib.import_module("torch")
    model = model.to_empty(device="cpu").float().eval()
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        tensor.data.zero_()
    with torch.no_grad():
        kept = model(input_ids=torch.arange(TOKENS)[None] + 5, use_cache=True).past_key_values.layers
    found: list[str] = []
    for layer in kept:
        if getattr(layer, "recurrent_states", None) is not None:
            states = layer.recurrent_states
            first = (
                states
                if not isinstance(states, dict | list | tuple)
                else next(iter(dict(enumerate(states)).values()))
            )
            found.append(f"state {first.numel() if hasattr(first, 'numel') else '?'}")
        elif latent:
            found.append("latent")
        else:
            keys, values = layer.keys, layer.values
            found.append(
                f"{keys.shape[1] * keys.shape[3]}+{values.shape[1] * values.shape[3]}@{keys.shape[2]}"
            )
    return in_runs(found)


def in_runs(layers: list[str]) -> str:
    """Equal neighbours as one, with their number."""
    return ", ".join(f"{len(list(run))} x {name}" for name, run in itertools.groupby(layers))


class Counter:
    """Builds models of transformers without values and counts their parameters."""

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")
        self.transformers = importlib.import_module("transformers")
        self.torch.set_num_threads(1)

    def model(self, config: Mapping[str, object]) -> Any:
        given = json.loads(json.dumps(config))
        model_type = given.pop("model_type")
        text = given.get("text_config", {})
        if text.get("model_type") in CLASSES:
            text["model_type"] = CLASSES[text["model_type"]]
        configuration = self.transformers.CONFIG_MAPPING[CLASSES.get(model_type, model_type)](**given)
        multimodal = "text_config" in given or model_type in ("qwen2_vl", "qwen2_5_vl")
        auto = "AutoModelForImageTextToText" if multimodal else "AutoModelForCausalLM"
        with self.torch.device("meta"):
            model = getattr(self.transformers, auto).from_config(configuration)
        model.tie_weights()
        return model

    def parameters(self, model: Any) -> int:
        return sum(tensor.numel() for tensor in model.parameters())


def main() -> None:
    counter = Counter()
    small: dict[str, object] = {}
    for family in FAMILIES:
        if family not in DEFAULTS.text or family == "mimo" or family.endswith(("_vl_text", "_vl_moe_text")):
            continue  # Qwen2 once more, and types that are only built within multimodal models
        base, rows = base_of(family), list[list[object]]()
        for changes in changes_of(family):
            try:
                model = counter.model({**base, **changes, **TOKEN_IDS, "model_type": family})
                count = counter.parameters(model)
            except Exception as error:  # transformers refuses the value in many ways
                print(f"{family} {changes}: {type(error).__name__}")
                continue
            try:
                cache = caches_of(model, FAMILIES[family].attention == "latent")
            except Exception as error:  # some values build a model that cannot run
                print(f"{family} {changes}: does not run: {type(error).__name__}")
                cache = None
            rows.append([changes, count, cache])
        small[family] = {"base": base, "rows": rows}
    shapes: Mapping[str, Any] = yaml.safe_load(PUBLIC.read_text("utf-8"))
    public = {name: counter.parameters(counter.model(config)) for name, config in shapes.items()}
    OUTPUT.write_text(in_lines(counter.transformers.__version__, small, public), encoding="utf-8")


def in_lines(version: str, small: Mapping[str, Any], public: Mapping[str, int]) -> str:
    """JSON with one line for each count."""
    families = []
    for family, found in small.items():
        rows = ",\n".join(f"      {json.dumps(row)}" for row in found["rows"])
        families.append(
            f'    "{family}": {{\n     "base": {json.dumps(found["base"])},\n     "rows": [\n{rows}\n     ]}}'
        )
    lines = [
        f'"source": "transformers {version}"',
        f'"as_of": "{datetime.datetime.now(datetime.UTC).date()}"',
    ]
    shapes = ",\n".join(f"    {json.dumps(name)}: {count}" for name, count in public.items())
    lines += ['"small": {\n' + ",\n".join(families) + "\n  }", '"public": {\n' + shapes + "\n  }"]
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()

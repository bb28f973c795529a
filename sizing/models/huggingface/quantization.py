"""What `quantization_config` means: how many bytes which weights take.

Entries of its lists are read as vLLM 0.32 reads them (vllm/model_executor/layers/quantization), and where it
would load a module that the file leaves in 16 bits into fewer, as the file says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sizing.models.architecture import BYTES_PER_VALUE, IN_16_BIT, LINEAR, Held, Precision, Quantization
from sizing.models.huggingface.fields import ConfigError, Fields
from sizing.models.huggingface.held_weights import Scheme
from sizing.models.huggingface.module_entries import (
    Entry,
    Override,
    exception,
    expression,
    fragment,
    target,
)
from sizing.models.huggingface.module_names import LAYERS

SIXTEEN_BIT = Quantization("bf16", None, 2.0, frozenset())

AWQ = ("awq", "auto_awq", "awq_marlin")
GPTQ = ("gptq", "auto_gptq", "gptq_marlin")

EXCEPTIONS = ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules")
"""Fields that list modules left in 16 bits."""

MICRO_FP8 = Held("fp8", 1 + 1 / 32)
"""8-bit floats with an 8-bit scale per 32 values (MXFP8)."""

NVFP4 = Held("nvfp4", BYTES_PER_VALUE["nvfp4"])
FP8 = Held("fp8", 1.0)

MODELOPT = {
    "FP8": FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": FP8,
    "FP8_PB_WO": FP8,
    "FP8_BLOCK_SCALES": FP8,
    "NVFP4": NVFP4,
    "W4A16_NVFP4": NVFP4,
    "MXFP8": MICRO_FP8,
}
"""Algorithms of ModelOpt files that vLLM 0.32 loads (`LINEAR_ALGOS` of its modelopt.py)."""


def scheme(config: Fields) -> Scheme:
    """How the checkpoint of a whole config.json is held.

    Raises ConfigError on a method that is not known, and on what a file says that is not counted.
    """
    found = config.object("quantization_config") or config.object("compression_config")
    if found is None:
        return Scheme(SIXTEEN_BIT, config.place)
    method = found.text("quant_method")
    if method is None:
        method = "modelopt" if found.has("quant_algo") else ""
    if method in AWQ:
        return _excepting(found, _own(method, _of_whole_file(found)), fragment)
    if method in GPTQ:
        return _gptq(found, method)
    if method == "auto-round":
        return _auto_round(found)
    if method == "mxfp4" or method == "gpt_oss_mxfp4":
        experts = Quantization("mxfp4", method, BYTES_PER_VALUE["mxfp4"], frozenset({"experts"}))
        return _excepting(found, experts, exception)
    if method in ("fp8", "fbgemm_fp8"):
        return _excepting(found, _own(method, FP8), exception)
    if method in ("compressed-tensors", "compressed_tensors"):
        return _compressed_tensors(found)
    if method == "modelopt":
        return _modelopt(found)
    if method == "bitsandbytes":
        four = found.flag("load_in_4bit", False)
        own = Quantization("int4" if four else "int8", method, 0.52 if four else 1.0, LINEAR)
        excepted = _entries(found, ("llm_int8_skip_modules",), exception)
        return Scheme(own, found.place, excepted)
    raise ConfigError(
        f'{found.place}: quant_method "{method}" is not known: awq, gptq, auto-round, fp8, fbgemm_fp8, '
        "compressed-tensors, mxfp4, modelopt and bitsandbytes are"
    )


def _excepting(found: Fields, own: Quantization, read: Callable[[str, str], Entry]) -> Scheme:
    """One way for all but what lists of exceptions name."""
    return Scheme(own, found.place, _entries(found, EXCEPTIONS, read), output=_output_layer(found))


def _entries(found: Fields, names: Sequence[str], read: Callable[[str, str], Entry]) -> tuple[Entry, ...]:
    """The lists of these names, also where ModelOpt files have them one object deeper."""
    inner = found.object("quantization")
    return tuple(
        read(f"{place.place}: {name}", text)
        for place in ((found,) if inner is None else (found, inner))
        for name in names
        for text in place.texts(name)
    )


def _output_layer(found: Fields) -> bool:
    """Whether the output layer is quantised with the rest, as some AWQ and GPTQ files say."""
    return found.flag("lm_head", False)


def _integer(place: str, bits: int, group: int | None) -> Held:
    """Weights in groups that share a 16-bit scale and a zero; without a group one scale per row."""
    if bits not in (4, 8):
        raise ConfigError(f"{place}: {bits} bits are not known, 4 and 8 are")
    scales = 0.0 if group is None else (2 + bits / 8) / group
    precision: Precision = "int4" if bits == 4 else "int8"
    return Held(precision, bits / 8 + scales)


def _own(method: str, held: Held, cache: bool = False) -> Quantization:
    return Quantization(held.precision, method, held.bytes_per_value, LINEAR, cache)


def _group_size(found: Fields) -> int | None:
    """Weights that share a scale; None, which files write as -1, is one scale per row."""
    for name in ("group_size", "q_group_size"):
        if found.values.get(name) == -1:
            return None
    size = found.optional_integer("group_size", "q_group_size")
    return None if size == 0 else size


def _of_whole_file(found: Fields) -> Held:
    return _integer(found.place, found.integer("bits", "w_bit"), _group_size(found))


def _changed(found: Fields, changes: Fields) -> Held:
    """What the file says of all modules, with the changes of some."""
    bits = (changes if changes.has("bits") else found).integer("bits", "w_bit")
    if bits == 16:
        return IN_16_BIT
    group = _group_size(changes if changes.has("group_size") else found)
    return _integer(changes.place, bits, group)


def _gptq(found: Fields, method: str) -> Scheme:
    """`dynamic` names modules by regular expressions: `-:` leaves them in 16 bits, others change bits or
    groups. `modules_in_block_to_quantize` names all that are quantised."""
    own = _own(method, _of_whole_file(found))
    rules = found.object("dynamic")
    overrides: list[Override] = []
    for text in () if rules is None else rules.values:
        assert rules is not None
        held = IN_16_BIT if text.startswith("-:") else _changed(found, _object(rules, text))
        pattern = text.removeprefix("-:").removeprefix("+:")
        overrides.append(Override(expression(rules.place, text, pattern, re.match), held))
    if found.values.get("modules_in_block_to_quantize") not in (None, []):
        raise ConfigError(
            f"{found.place}: modules_in_block_to_quantize is not supported: what it leaves out is not counted"
        )
    excepted = _entries(found, EXCEPTIONS, exception)
    return Scheme(own, found.place, excepted, tuple(overrides), output=_output_layer(found))


def _auto_round(found: Fields) -> Scheme:
    """`extra_config` has bits and groups of single modules, by name or regular expression."""
    kind = found.text("data_type")
    if kind not in (None, "int"):
        raise ConfigError(f'{found.place}: data_type "{kind}" is not known, int is')
    if not _text_model_blocks(found):
        raise ConfigError(
            f"{found.place}: block_name_to_quantize is {found.values['block_name_to_quantize']!r}: only all "
            "layers of the text model are counted"
        )
    rules = found.object("extra_config")
    overrides: list[Override] = []
    for text in () if rules is None else rules.values:
        assert rules is not None
        changes = _object(rules, text)
        kind = changes.text("data_type")
        if kind not in (None, "int", "float", "fp"):
            raise ConfigError(f'{changes.place}: data_type "{kind}" is not known, int is')
        if kind in ("float", "fp") and changes.values.get("bits") != 16:
            raise ConfigError(f'{changes.place}: data_type "{kind}" is known with 16 bits only')
        pattern = any(sign in text for sign in "*+?^$()[]{}|\\")
        entry = expression(rules.place, text, text, re.search) if pattern else exception(rules.place, text)
        overrides.append(Override(entry, _changed(found, changes)))
    excepted = _entries(found, EXCEPTIONS, exception)
    own = _own("auto-round", _of_whole_file(found))
    return Scheme(own, found.place, excepted, tuple(overrides), output=_output_layer(found))


def _text_model_blocks(found: Fields) -> bool:
    """Whether the blocks that are quantised are the layers of the text model, as they are if unnamed."""
    given = found.values.get("block_name_to_quantize")
    blocks = given.split(",") if isinstance(given, str) else found.texts("block_name_to_quantize")
    known = {before.removesuffix(".") for before in LAYERS}
    return all(block in known for block in blocks)


def _object(found: Fields, name: str) -> Fields:
    inner = found.object(name)
    return Fields(f"{found.place}: {name}", {}) if inner is None else inner


def _compressed_tensors(found: Fields) -> Scheme:
    """Each of `config_groups` says how its `targets` are held: a class, or modules by name. What a name means
    goes before a class; `ignore` goes before both."""
    sparse = found.object("sparsity_config")
    if sparse is not None and sparse.text("format") not in (None, "dense"):
        raise ConfigError(f'{sparse.place}: format "{sparse.text("format")}" is not supported, dense is')
    groups = found.object("config_groups")
    weights = 0 if groups is None else sum(_object(groups, name).has("weights") for name in groups.values)
    if groups is None or weights == 0:
        raise ConfigError(f"{found.place}: config_groups names no weights")
    all_linear: dict[Held, str] = {}
    overrides: list[Override] = []
    for name in groups.values:
        group = _object(groups, name)
        held = _group(group)
        named = group.texts("targets")
        # A group without targets means every linear layer.
        for text in named if named else ("Linear",):
            if text == "Linear":
                all_linear[held] = name
            elif not group.has("weights") and re.fullmatch(r"[A-Z]\w*", text):
                continue  # caches and activations of a class, which are no weights
            elif "." not in text and "*" not in text and not text.startswith("re:") and text != "lm_head":
                raise ConfigError(
                    f'{group.place}: targets has "{text}": of classes only Linear is known, and names of '
                    "modules have a dot"
                )
            else:
                overrides.append(Override(target(f"{group.place}: targets", text), held))
    if len(all_linear) > 1:
        raise ConfigError(
            f"{groups.place}: {' and '.join(sorted(all_linear.values()))} both hold every Linear, and "
            "differently: their size is not clear"
        )
    cache = found.values.get("kv_cache_scheme") is not None
    excepted = _entries(found, EXCEPTIONS, exception)
    first = next(iter(all_linear), None)
    own = _own("compressed-tensors", overrides[0].held if first is None else first, cache)
    others = IN_16_BIT if first is None else None
    return Scheme(own, found.place, excepted, tuple(overrides), others)


def _group(group: Fields) -> Held:
    """How the weights of one group are held: in 16 bits if it is of activations alone."""
    weights = group.object("weights")
    if weights is None:
        return IN_16_BIT
    bits, kind, size = weights.integer("num_bits"), weights.text("type"), _group_size(weights)
    if kind == "float" and bits == 4:
        precision: Precision = "mxfp4" if size == 32 else "nvfp4"
        return Held(precision, BYTES_PER_VALUE[precision])
    if kind == "float" and bits == 8:
        return MICRO_FP8 if size == 32 else FP8
    if kind not in ("int", None):
        raise ConfigError(f'{weights.place}: {bits} bits of type "{kind}" are not known: int and float are')
    return _integer(weights.place, bits, size)


def _modelopt(found: Fields) -> Scheme:
    """One algorithm for all, or MIXED_PRECISION: `quantized_layers` names all modules that have one."""
    inner = found.object("quantization") or found
    algorithm = (inner.text("quant_algo") or "").upper()
    cache = (inner.text("kv_cache_quant_algo") or "").upper() == "FP8"
    cache = cache or found.values.get("kv_cache_scheme") is not None
    excepted = _entries(found, EXCEPTIONS, fragment)
    if algorithm != "MIXED_PRECISION":
        return Scheme(_own("modelopt", _algorithm(inner), cache), found.place, excepted)
    layers = inner.object("quantized_layers")
    if layers is None or not layers.values:
        raise ConfigError(f"{inner.place}: quantized_layers is missing, which MIXED_PRECISION needs")
    overrides = tuple(
        Override(target(layers.place, name), _algorithm(_object(layers, name))) for name in layers.values
    )
    own = _own("modelopt", overrides[0].held, cache)
    return Scheme(own, found.place, excepted, overrides, IN_16_BIT)


def _algorithm(found: Fields) -> Held:
    name = (found.text("quant_algo") or "").upper()
    held = MODELOPT.get(name)
    if held is None:
        raise ConfigError(f'{found.place}: quant_algo "{name}" is not known: {", ".join(MODELOPT)} are')
    size = found.optional_integer("group_size")
    if held == NVFP4 and size not in (None, 16):
        raise ConfigError(f"{found.place}: group_size is {size}, expected 16: other scales are not counted")
    return held

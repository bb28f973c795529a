"""How each weight of a checkpoint is held, asked of its lists module by module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sizing.models.architecture import IN_16_BIT, Component, Held, Module, Quantization, Weight
from sizing.models.huggingface.fields import ConfigError
from sizing.models.huggingface.module_entries import Entry, Override
from sizing.models.huggingface.module_names import full_names, own_name, stack_of

SAMPLED_EXPERTS = (0, 1, 9, 10, 99, 100)
"""Experts that are asked beside the last, where no entry names experts by their number."""

NUMBERED_EXPERTS = re.compile(r"experts?\W*[\d\[(]|experts?\W*\\d")

LAYER_ENTRY = re.compile(r"(?:model\.|language_model\.)*layers\.(\d+)\.(.+)")

UNCOUNTED = re.compile(
    r"norm|gate$|router|rotary|conv1d|A_log|dt_bias|sinks|correction_bias|scale|layer_scalar|attn$|\.act_fn$"
)
"""Ends of the names of what is not quantised, or has no weights."""


@dataclass(frozen=True)
class Scheme:
    """How a checkpoint holds its weights, and what its lists of modules say otherwise.

    quantization: of modules that no list names. place: of the lists, for messages. excepted: entries of
    modules left in 16 bits, whatever else names them. overrides: of modules held in another way.
    others: how those are held which no override names; None is as quantization says. output: whether that is
    the output layer, too.
    """

    quantization: Quantization
    place: str
    excepted: tuple[Entry, ...] = ()
    overrides: tuple[Override, ...] = ()
    others: Held | None = None
    output: bool = False

    @property
    def uniform(self) -> bool:
        return not (self.excepted or self.overrides or self.output)

    @property
    def default(self) -> Held:
        own = Held(self.quantization.precision, self.quantization.bytes_per_value)
        return own if self.others is None else self.others


@dataclass
class HeldWeights:
    """Asks the lists for each weight, and counts parameters by how they are held.

    known: entries that mean something of the model. named: modules of its layers, by their names there.
    by_layer: entries that may mean something of a layer.
    """

    scheme: Scheme
    model_type: str
    experts: int
    layers: int
    counted: dict[tuple[Component, Held], int] = field(default_factory=dict[tuple[Component, Held], int])
    known: set[Entry] = field(default_factory=set[Entry])
    named: set[str] = field(default_factory=set[str])
    by_layer: dict[int | None, tuple[Sequence[Entry], Sequence[Override]]] = field(
        default_factory=dict[int | None, tuple[Sequence[Entry], Sequence[Override]]]
    )

    def of(self, weights: Sequence[Weight], layer: int | None) -> tuple[Weight, ...]:
        """These weights of a layer, or of none, divided where modules of one are held differently.

        Raises ConfigError where modules that engines hold as one are not held alike, or lists contradict
        each other.
        """
        if self.scheme.uniform:
            return tuple(weights)
        stacks: dict[tuple[str, str], tuple[str, Held]] = {}
        found: list[Weight] = []
        for weight in weights:
            if not weight.modules:
                found.append(weight)
                continue
            answers = {module: self._module(weight, module, layer, stacks) for module in weight.modules}
            if weight.component == "experts":
                _alike("experts", {module.name: held for module, held in answers.items()}, self.scheme, layer)
            found += self._divided(weight, answers)
        return tuple(found)

    def quantization(self) -> Quantization:
        """The scheme's, with the precision that most of the quantised parameters have."""
        own = self.scheme.quantization
        if self.scheme.uniform:
            return own
        self._refuse_unmatched()
        by_held: dict[Held, int] = {}
        for (_, held), parameters in self.counted.items():
            if held != IN_16_BIT:
                by_held[held] = by_held.get(held, 0) + parameters
        if not by_held:
            return replace(own, precision="bf16", bytes_per_value=2.0, components=frozenset[Component]())
        most = max(by_held, key=lambda held: (by_held[held], held.precision, held.bytes_per_value))
        components = frozenset(component for component, held in self.counted if held == most)
        return replace(
            own, precision=most.precision, bytes_per_value=most.bytes_per_value, components=components
        )

    def _divided(self, weight: Weight, answers: Mapping[Module, Held]) -> Iterable[Weight]:
        copied = weight.copied_in_16_bit
        for held in dict.fromkeys(answers.values()):
            modules = tuple(module for module, answer in answers.items() if answer == held)
            parameters = sum(module.parameters for module in modules)
            key = (weight.component, held)
            self.counted[key] = self.counted.get(key, 0) + parameters
            yield replace(weight, parameters=parameters, modules=modules, held=held, copied_in_16_bit=copied)
            copied = 0

    def _module(
        self,
        weight: Weight,
        module: Module,
        layer: int | None,
        stacks: dict[tuple[str, str], tuple[str, Held]],
    ) -> Held:
        name = own_name(module.name, self.model_type)
        if "*" in name:
            answers = {
                numbered: self._answer(weight, numbered, layer)
                for numbered in (name.replace("*", str(expert)) for expert in self._asked_experts())
            }
            return _alike("experts", answers, self.scheme, layer)
        held = self._answer(weight, name, layer)
        stack = stack_of(name)
        if stack is not None:
            other, before = stacks.setdefault(stack, (name, held))
            _alike(stack[1], {other: before, name: held}, self.scheme, layer)
        return held

    def _asked_experts(self) -> Sequence[int]:
        entries = (*self.scheme.excepted, *(one.entry for one in self.scheme.overrides))
        if any(NUMBERED_EXPERTS.search(entry.text) for entry in entries):
            return range(self.experts)
        return sorted({*(one for one in SAMPLED_EXPERTS if one < self.experts), self.experts - 1})

    def _answer(self, weight: Weight, name: str, layer: int | None) -> Held:
        names = full_names(name, layer)
        stack = stack_of(name)
        self.named.add(name)
        stacked = () if stack is None else full_names(f"{stack[0]}.{stack[1]}", layer)
        exceptions, overrides = self._concerning(layer)
        excepted = [entry for entry in exceptions if entry.matches(names, stacked)]
        self.known.update(excepted)
        named = [one for one in overrides if one.entry.matches(names, stacked)]
        self.known.update(one.entry for one in named)
        if excepted:
            return IN_16_BIT
        for one in named[1:]:
            if one.held != named[0].held:
                first = named[0].entry
                raise ConfigError(
                    f'{first.field}: "{first.text}" and "{one.entry.text}" of {one.entry.field} hold '
                    f"{names[0]} differently: its size is not clear"
                )
        if named:
            return named[0].held
        reached = self.scheme.quantization.components
        if weight.component in reached or (weight.component == "output" and self.scheme.output):
            return self.scheme.default
        return IN_16_BIT

    def _concerning(self, layer: int | None) -> tuple[Sequence[Entry], Sequence[Override]]:
        """Entries without those that name another layer: files list thousands, and each module asks."""
        if layer not in self.by_layer:
            scheme = self.scheme
            self.by_layer[layer] = (
                [entry for entry in scheme.excepted if _may_mean(entry, layer)],
                [one for one in scheme.overrides if _may_mean(one.entry, layer)],
            )
        return self.by_layer[layer]

    def _refuse_unmatched(self) -> None:
        """An entry that names a layer of the model, and in it what no layer has."""
        within = {
            ".".join(parts[:length])
            for parts in (name.split(".") for name in self.named)
            for length in range(1, len(parts) + 1)
        }
        for entry in (*self.scheme.excepted, *(one.entry for one in self.scheme.overrides)):
            named = LAYER_ENTRY.fullmatch(entry.text)
            if entry in self.known or entry.pattern or named is None or int(named[1]) >= self.layers:
                continue
            if named[2] not in within and UNCOUNTED.search(named[2]) is None:
                raise ConfigError(
                    f'{entry.field}: "{entry.text}" names no known layer of a {self.model_type} model: '
                    "what it changes is not counted"
                )


def _may_mean(entry: Entry, layer: int | None) -> bool:
    named = None if entry.pattern else LAYER_ENTRY.fullmatch(entry.text)
    return named is None or int(named[1]) == layer


def _alike(stack: str, answers: Mapping[str, Held], scheme: Scheme, layer: int | None) -> Held:
    """The one way that all are held. Raises ConfigError where they differ."""
    (first, held), *others = answers.items()
    for name, other in others:
        if other != held:
            where = "" if layer is None else f" of layer {layer}"
            raise ConfigError(
                f"{scheme.place}: {first}{where} is {held.precision} of {held.bytes_per_value:g} bytes and "
                f"{name} is {other.precision} of {other.bytes_per_value:g}: engines hold them as one "
                f"({stack}) and take no such checkpoint"
            )
    return held

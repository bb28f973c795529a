"""Whatever a config.json says, the answer is a model or one line that names the file."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.fit import FitRequest, fit
from sizing.fit.datatypes import DatatypeError
from sizing.hardware.accelerators import accelerator
from sizing.models.huggingface import ConfigError, architecture
from sizing.models.models import Model
from tests.sizing.fit.requests import CONFIGS

FILES = {path.stem: json.loads(path.read_text()) for path in sorted(CONFIGS.glob("*.json"))}
DAMAGE = st.sampled_from(
    [None, -1, 0, 1, 3, 2**40, 1e30, 0.5, float("nan"), True, "", "x", "fp8", [], ["x"], [1], {}, {"a": {}}]
)


def places(value: dict[str, object], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, inner in value.items():
        found.append((*at, key))
        if isinstance(inner, dict):
            found += places(inner, (*at, key))
    return found


@pytest.mark.parametrize("name", sorted(FILES))
@given(data=st.data())
def test_one_damaged_field(name: str, data: st.DataObject):
    config = copy.deepcopy(FILES[name])
    *above, key = data.draw(st.sampled_from(places(config)))
    inside = config
    for step in above:
        inside = inside[step]
    inside[key] = data.draw(DAMAGE)
    refused = ""
    try:
        described = architecture(config, "the file")
    except ConfigError as error:
        refused = str(error)
    else:
        assert described.parameters > 0
        request = FitRequest(Model("x", 1, 1, described, None, ""), accelerator("nvidia-h100-80gb"))
        try:
            found = fit(request)
            assert found.fits == (found.reason == "")
        except DatatypeError as error:
            refused = str(error)
    assert refused == "" or refused.startswith(("the file", "quantization_config", "quantization "))
    assert "\n" not in refused


def test_a_context_stretched_to_nothing_is_refused() -> None:
    config = copy.deepcopy(FILES["deepseek-v2-lite"])
    config["rope_scaling"]["original_max_position_embeddings"] = 0
    with pytest.raises(ConfigError, match=r"the file.*make a context of 0 tokens"):
        architecture(config, "the file")

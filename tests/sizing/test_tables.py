from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from sizing import tables
from sizing.choices import UnknownNameError, valid_choices
from sizing.hardware.accelerators import ACCELERATORS, Accelerator, accelerator
from sizing.hardware.machines import (
    REFERENCE_REGIONS,
    SHAPES,
    SYSTEM_SHAPES,
    machine,
    shapes_with,
    why_unpriced,
)
from sizing.tables import read_data, read_table


def test_a_machine_by_name():
    row = machine("g6.2xlarge")
    assert (row.accelerator, row.accelerator_count, row.cpus) == ("nvidia-l4", 1, 8)
    assert row.price_per_hour_usd == 0.9776
    assert row.allocatable_memory_gib == pytest.approx(28.63, abs=0.01)


def test_an_accelerator_by_name():
    assert accelerator("nvidia-l4").usable_gib == 22.03


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_machine_is_consistent(name: str):
    row = SHAPES[name]
    assert row.accelerator in ACCELERATORS
    assert row.accelerator_count in (1, 2, 4, 8, 16)
    assert row.allocatable_memory_gib < row.memory_gib
    assert row.allocatable_cpu_millicores < row.cpus * 1000


def test_machines_without_a_price_in_the_reference_region_are_few():
    without = {
        name
        for shapes in (SHAPES, SYSTEM_SHAPES)
        for name, shape in shapes.items()
        if why_unpriced(name, shape.cloud, REFERENCE_REGIONS[shape.cloud]) is not None
    }
    # Sold in other ways than on demand, or absent from the source.
    assert without == {
        "a2-megagpu-16g",
        "a3-edgegpu-8g",
        "a3-highgpu-1g",
        "a3-highgpu-2g",
        "a3-highgpu-4g",
        "a3-megagpu-8g",
        "a4-highgpu-8g",
    }


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_every_accelerator_is_consistent(name: str):
    row = ACCELERATORS[name]
    assert shapes_with(name), "no machine carries it"
    native_fp8 = tuple(int(part) for part in row.compute_capability.split(".")) >= (8, 9)
    assert (row.fp8_tflops is not None) == native_fp8
    assert row.source


def test_shapes_with_an_accelerator_come_smallest_first():
    assert [row.name for row in shapes_with("nvidia-h100-80gb", ("aws",))] == ["p5.4xlarge", "p5.48xlarge"]
    assert shapes_with("nvidia-l4")[0].name == "g2-standard-4"


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean nvidia-l4"):
        accelerator("nvidia-l44")
    with pytest.raises(UnknownNameError, match=r"unknown machine type 'g6.3xlarge'"):
        machine("g6.3xlarge")


DATA_FILES = sorted(Path(tables.__file__).parents[1].glob("[!.]*/**/data/*.yaml"))


@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: path.name)
def test_libyaml_reads_every_data_file_as_pyyaml_does(path: Path):
    assert read_data(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_choices_without_a_near_one():
    assert valid_choices("zzz", ["b", "a"]) == "Valid: a, b"
    assert valid_choices("zzz", []) == "None is defined"


def test_a_row_with_an_unknown_field_is_refused(tmp_path: Path):
    text = (Path("sizing/hardware/data/accelerators.yaml")).read_text(encoding="utf-8")
    path = tmp_path / "table.yaml"
    path.write_text(text.replace("usable_gib: 22.03", "usable_gb: 22.03"), encoding="utf-8")
    with pytest.raises(ValidationError, match="usable_gb"):
        read_table(path, Accelerator)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.hardware.machines import MACHINES, machine
from sizing.packing import cheapest_machine, machines_needed


def test_the_cheapest_machine_that_fits():
    l4 = [row for row in MACHINES.values() if row.accelerator == "nvidia-l4" and row.cloud == "aws"]
    one = cheapest_machine(l4, gpus=1)
    four = cheapest_machine(l4, gpus=4)
    assert one is not None
    assert four is not None
    assert one.name == "g6.xlarge"
    assert four.name == "g6.12xlarge"


def test_no_machine_fits():
    assert cheapest_machine([machine("g6.xlarge")], gpus=2) is None
    assert cheapest_machine([], gpus=1) is None


@pytest.mark.parametrize(
    ("replicas", "per_machine", "expected"),
    [([], 8, 0), ([1], 8, 1), ([8, 8], 8, 2), ([4, 2, 2, 1], 8, 2), ([2, 4, 2], 8, 1), ([1] * 9, 4, 3)],
)
def test_machines_needed(replicas: list[int], per_machine: int, expected: int):
    assert machines_needed(replicas, per_machine) == expected


def test_a_replica_larger_than_a_machine():
    with pytest.raises(ValueError, match="2 GPUs does not fit a machine with 1"):
        machines_needed([2], 1)


@given(replicas=st.lists(st.sampled_from([1, 2, 4, 8]), max_size=40))
def test_sizes_that_divide_one_another_are_packed_without_loss(replicas: list[int]):
    assert machines_needed(replicas, 8) == -(-sum(replicas) // 8)

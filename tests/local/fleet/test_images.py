from __future__ import annotations

import re

import pytest

from local.fleet.images import Program, program_of, repository
from local.fleet.stages import fleet_pattern

KNOWN = [
    ("vllm/vllm-openai:v0.32.0", Program.ENGINE),
    ("docker.io/vllm/vllm-openai:v0.32.0@sha256:" + "a" * 64, Program.ENGINE),
    ("envoyproxy/envoy:v1.40-latest", Program.ENVOY),
    ("python", Program.PYTHON),
    ("library/python:3.13-slim", Program.PYTHON),
    ("docker.io/library/python@sha256:" + "b" * 64, Program.PYTHON),
]
UNKNOWN = [
    "nginx:1",
    "ghcr.io/vllm/vllm-openai:v1",
    "localhost:5000/python:3",
    "envoyproxy/envoy-dev:latest",
    "mypython:3",
    "python/extra:1",
    "vllm/vllm-openai-cpu:v1",
]


@pytest.mark.parametrize(("image", "program"), KNOWN)
def test_known_images_start_their_program(image: str, program: Program) -> None:
    assert program_of(image) is program


@pytest.mark.parametrize("image", UNKNOWN)
def test_other_images_start_nothing(image: str) -> None:
    assert program_of(image) is None


@pytest.mark.parametrize("image", [image for image, _ in KNOWN] + UNKNOWN)
def test_kwok_and_the_fleet_draw_the_same_line(image: str) -> None:
    assert (re.match(fleet_pattern(), image) is not None) == (program_of(image) is not None)


def test_a_registry_with_a_port_is_part_of_the_repository() -> None:
    assert repository("localhost:5000/python:3") == "localhost:5000/python"

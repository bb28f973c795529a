from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving.gateway.openapi import PATH, REFUSALS, description, main, rendered
from serving.gateway.paths import MODELS_PATH, all_paths


def test_the_published_description_is_current():
    assert PATH.read_text(encoding="utf-8") == rendered(), "stale: run `make openapi` and read the difference"


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(tmp_path / "openapi.json") == 0
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == rendered()
    assert "openapi.json: version" in capsys.readouterr().out


def operations() -> list[tuple[str, dict[str, Any]]]:
    document: Any = json.loads(rendered())
    return [
        (path, operation) for path, methods in document["paths"].items() for operation in methods.values()
    ]


def test_it_lists_the_paths_that_are_routed_and_no_other():
    paths = [path for path, _ in operations()]
    assert paths == [MODELS_PATH, f"{MODELS_PATH}/{{model}}", *all_paths()]


def test_every_operation_has_a_name_of_its_own_and_says_which_statuses_come_back():
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    for _, operation in operations():
        assert {"200", "401", "429"} <= set(operation["responses"])
        assert {int(status) for status in operation["responses"]} <= {200, *REFUSALS}


def test_every_request_with_a_body_names_its_model():
    for path, operation in operations():
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert "model" in schema["required"], path
            assert set(schema["required"]) <= set(schema["properties"])


def test_whoever_is_to_wait_is_told_how_long():
    for _, operation in operations():
        for status in {"429", "503"} & set(operation["responses"]):
            assert "Retry-After" in operation["responses"][status]["headers"]


def test_another_gateway_has_another_description():
    assert list(description({"embed": ("/v1/embeddings",)})["paths"]) == [  # pyright: ignore
        MODELS_PATH,
        f"{MODELS_PATH}/{{model}}",
        "/v1/embeddings",
    ]

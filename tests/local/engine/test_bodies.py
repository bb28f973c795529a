"""What reading a body says, against the answers that vLLM 0.32.0's own request classes gave to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local.engine.asking import with_server

ANSWERS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "read_by_vllm.json").read_text(encoding="utf-8")
)["answers"]


def test_wrong_bodies_are_told_what_vllm_tells_them():
    wrong = [row for row in ANSWERS if row["status"] != 200]
    assert len(wrong) > 90

    async def ask(client: httpx.AsyncClient) -> None:
        for row in wrong:
            answer = await client.post(row["path"], json=row["body"])
            found = (row["name"], answer.status_code, answer.json())
            assert found == (row["name"], row["status"], {"error": row["error"]})

    with_server(ask)


def test_bodies_that_vllm_can_read_are_not_refused_while_they_are_read():
    """They may be later: for a value out of range, or for what the emulator does not have."""
    right = [row for row in ANSWERS if row["status"] == 200]
    assert len(right) > 20

    async def ask(client: httpx.AsyncClient) -> None:
        for row in right:
            answer = await client.post(row["path"], json=row["body"])
            if answer.status_code != 200:
                assert answer.json()["error"]["type"] == "BadRequestError", row["name"]

    with_server(ask, step_ms=0.01)


@pytest.mark.parametrize(("prompts", "status"), [(1024, 200), (1025, 400)])
def test_a_request_has_so_many_prompts_at_most(prompts: int, status: int):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/completions", json={"prompt": ["a"] * prompts, "max_tokens": 1})
        assert answer.status_code == status
        ids = await client.post("/v1/completions", json={"prompt": [1] * prompts, "max_tokens": 1})
        assert ids.status_code == 200  # one prompt of so many tokens

    with_server(ask)


def test_the_number_of_prompts_is_looked_at_before_the_bound():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/completions", json={"prompt": ["a"] * 1025, "n": 20_000})
        assert answer.status_code == 400
        assert "prompt list length 1025 exceeds" in answer.json()["error"]["message"]

    with_server(ask, "--max-num-queued-reqs", "6")

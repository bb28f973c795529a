"""A model wakes up under a waiting client: the official one, with the retries that it has by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from serving.gateway.errors import WAKE_RETRY_AFTER_SECONDS
from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import AUTHORIZATION, running

LIMIT = 1024 * 1024
TOKEN = AUTHORIZATION["Authorization"].removeprefix("Bearer ")
HELLO: Any = [{"role": "user", "content": "hello"}]


class PatientClient(openai.OpenAI):
    """The client as it is, but a wait of half a minute passes at once. waits: what it would have waited."""

    waits: list[float]

    def _calculate_retry_timeout(self, *arguments: Any, **keywords: Any) -> float:
        self.waits.append(super()._calculate_retry_timeout(*arguments, **keywords))
        self.while_waiting()
        return 0.3

    def while_waiting(self) -> None:
        """What happens meanwhile."""


def test_the_clients_own_retries_meet_the_model_once_it_is_up(tmp_path: Path):
    with serving() as engine, running(tmp_path, {"asleep": []}, LIMIT) as gateway:

        class Client(PatientClient):
            def while_waiting(self) -> None:
                # One wait is not enough here; after the second the replica is ready.
                if len(self.waits) == 2:
                    gateway.rewrite({"asleep": [engine.port]}, LIMIT)

        with Client(base_url=f"http://{gateway.clients}/v1", api_key=TOKEN) as client:
            client.waits = []
            client.chat.completions.create(model="asleep", messages=HELLO)
        assert client.waits == [WAKE_RETRY_AFTER_SECONDS, WAKE_RETRY_AFTER_SECONDS]
        assert len(engine.requests) == 1


def test_a_client_that_gives_up_reads_that_the_model_sleeps(tmp_path: Path):
    with (
        running(tmp_path, {"asleep": []}, LIMIT) as gateway,
        openai.OpenAI(base_url=f"http://{gateway.clients}/v1", api_key=TOKEN, max_retries=0) as client,
        pytest.raises(openai.InternalServerError, match="No replica of model 'asleep' is ready") as raised,
    ):
        client.chat.completions.create(model="asleep", messages=HELLO)
    assert raised.value.status_code == 503
    assert raised.value.code == "model_unavailable"

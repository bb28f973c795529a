"""A gateway that lets through what it must refuse is named, with the file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.verify.verifier.failed import Failed
from serving.verify.verifier.refusals import (
    GARBAGE_TOKEN,
    check_metrics,
    check_stranger,
    check_unknown_model,
)
from tests.serving.verify.imitations import GOOD, UNKNOWN, Reply, gateway, openai_error


@pytest.mark.parametrize("reply", [GOOD, UNKNOWN, Reply(403, b"")])
def test_an_open_gateway(tmp_path: Path, reply: Reply):
    with gateway(without_token=reply) as asked:
        client = asked.client(tmp_path)
        with pytest.raises(
            Failed, match=f"^a request without a token: expected 401, got {reply.status}"
        ) as raised:
            check_stranger(client, "chat", None)
        assert check_stranger(client, "chat", GARBAGE_TOKEN) == "a request with a made-up token: 401"
    assert "ConfigMap gateway/gateway-config, listeners.yaml, must have jwt_authn" in str(raised.value)


def test_a_gateway_that_believes_any_token(tmp_path: Path):
    with gateway(with_garbage=GOOD) as asked:
        client = asked.client(tmp_path)
        with pytest.raises(Failed, match=r"^a request with a made-up token: expected 401, got 200"):
            check_stranger(client, "chat", GARBAGE_TOKEN)


@pytest.mark.parametrize(
    "reply",
    [GOOD, openai_error(404, "other"), openai_error(400, "model_not_found"), Reply(404, b"not found")],
)
def test_an_unknown_model_must_be_refused(tmp_path: Path, reply: Reply):
    with (
        gateway(unknown=reply) as asked,
        pytest.raises(Failed, match=r"^unknown model: expected 404 with code model_not_found, got"),
    ):
        check_unknown_model(asked.client(tmp_path))


@pytest.mark.parametrize("status", [403, 404])
def test_closed_metrics(tmp_path: Path, status: int):
    with gateway(metrics=Reply(status, b"")) as asked:
        assert check_metrics(asked.client(tmp_path)) == f"/metrics: refused with {status}"


def test_open_metrics_are_named(tmp_path: Path):
    with (
        gateway(metrics=Reply(200, b"vllm:num_requests_running 1")) as asked,
        pytest.raises(
            Failed, match=r"^/metrics: expected to be refused, got 200: ConfigMap gateway/gateway-"
        ),
    ):
        check_metrics(asked.client(tmp_path))

"""What is said of a gateway that gives no answer at all, and of a token that is not there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from serving.verify.verifier.failed import Failed
from serving.verify.verifier.gateway import Gateway
from tests.serving.verify.imitations import NOBODY, SERVICE, TOKEN, Asked, Reply, gateway

LOOK = "look: kubectl -n gateway get service,pods -l app.kubernetes.io/name=gateway"


def failure(client: Gateway) -> str:
    with pytest.raises(Failed) as raised:
        client.ask("/metrics", None)
    return str(raised.value)


def test_one_that_does_not_answer_names_its_service_and_label(tmp_path: Path):
    line = failure(Asked(NOBODY, []).client(tmp_path))
    assert line.startswith(
        "gateway: Service gateway/gateway does not answer ([Errno 111] Connection refused)"
    )
    assert line.endswith(f"no ready pod is labelled app.kubernetes.io/name=gateway; {LOOK}")


def test_one_whose_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    line = failure(Asked("http://gateway.gateway.svc.cluster.local", []).client(tmp_path))
    assert line == f"gateway: Service gateway/gateway does not resolve; {LOOK}"


def test_one_that_breaks_off_within_its_answer(tmp_path: Path):
    with gateway(metrics=Reply(200, b"abc", {"Content-Length": "9"})) as asked:
        line = failure(asked.client(tmp_path))
    assert line == f"gateway: Service gateway/gateway broke off (IncompleteRead); {LOOK}"


def test_a_missing_token_names_its_file(tmp_path: Path):
    file = tmp_path / "token"
    line = failure(Gateway(NOBODY, SERVICE, str(file)))
    assert line.startswith(f"token: {file} cannot be read ([Errno 2]")


def test_the_token_is_read_without_the_end_of_its_line(tmp_path: Path):
    assert Asked(NOBODY, []).client(tmp_path).token() == TOKEN

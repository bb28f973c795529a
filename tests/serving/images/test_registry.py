"""What registries answer, and what goes wrong with them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.images import registry as asking
from serving.images.reference import read_reference
from serving.images.registry import RegistryError, Resolved, resolve
from tests.serving.images.registry_server import Answer, Registry, running_registry

BODY = b'{"schemaVersion": 2, "manifests": []}'
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate" / "tls.crt"))
    with running_registry(tmp_path) as running:
        running.manifests["library/engine:v1"] = Answer(body=BODY)
        yield running


def ask(registry: Registry, name: str = "library/engine:v1") -> Resolved:
    return resolve(read_reference(f"{registry.host}/{name}"))


def failure(registry: Registry, name: str = "library/engine:v1") -> str:
    with pytest.raises(RegistryError) as raised:
        ask(registry, name)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(registry.host)
    return message.removeprefix(f"{registry.host} ")


def test_a_token_for_exactly_this_repository_and_the_digest_of_what_came(registry):
    assert ask(registry) == Resolved(DIGEST, platforms=True)
    assert registry.asked == ["library/engine:v1"]
    assert registry.scopes == ["repository:library/engine:pull"]


def test_registries_that_ask_for_no_token(registry):
    registry.challenge = None
    assert ask(registry) == Resolved(DIGEST, platforms=True)
    assert registry.scopes == []


def test_an_image_for_one_platform_only(registry):
    registry.manifests["a:1"] = Answer(body=BODY, media_type=f"{MANIFEST}; charset=utf-8")
    assert ask(registry, "a:1") == Resolved(DIGEST, platforms=False)


def test_a_digest_in_a_header_is_compared_and_not_believed(registry):
    registry.manifests["a:1"] = Answer(body=BODY, headers={"Docker-Content-Digest": DIGEST})
    assert ask(registry, "a:1").digest == DIGEST
    registry.manifests["a:1"] = Answer(body=BODY, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})
    assert "sent something else than it promised" in failure(registry, "a:1")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404), "has no a:1"),
        (Answer(403), "refuses to show a"),
        (Answer(429, headers={"Retry-After": "60"}), "try again in 60 s"),
        (Answer(429), "try again later"),
        (Answer(500), "answered 500 for a:1"),
        (Answer(401), "not understood"),
        (Answer(media_type="text/html", body=b"<html>"), "answered text/html, which is no image"),
        (Answer(media_type=""), "which is no image"),
        (Answer(media_type="application/vnd.docker.distribution.manifest.v1+prettyjws"), "is no image"),
    ],
)
def test_refusals_say_what_to_do(registry, answer, said):
    registry.challenge = None
    registry.manifests["a:1"] = answer
    assert said in failure(registry, "a:1")


def test_a_login_that_is_wanted_or_not_understood(registry):
    registry.token_body = b'{"token": "for somebody else"}'
    assert "to nobody without a login" in failure(registry)
    for body in (b"{}", b"<html>", b'{"token": null}', b"[]"):
        registry.token_body = body
        assert "not understood" in failure(registry)
    registry.challenge = "Negotiate"
    assert "a login" in failure(registry)


def test_silence_ends(registry, monkeypatch):
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
    registry.silent = threading.Event()
    assert failure(registry) == "did not answer within 0.2 s"


def test_no_registry_at_all(registry):
    registry.host = "localhost:1"
    assert failure(registry) == "cannot be reached from here"


def test_a_certificate_of_nobody(registry, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "certificate that is not trusted here" in failure(registry)


def test_docker_hub_has_another_name_for_its_api(monkeypatch):
    asked = []

    def manifest(host: str, repository: str, tag: str):
        asked.append((host, repository, tag))
        raise ValueError

    monkeypatch.setattr(asking, "_manifest", manifest)
    for name in ("python:3.13-slim", "registry.k8s.io/pause:3"):
        with pytest.raises(RegistryError):
            resolve(read_reference(name))
    assert asked == [
        ("registry-1.docker.io", "library/python", "3.13-slim"),
        ("registry.k8s.io", "pause", "3"),
    ]

from __future__ import annotations

from pathlib import Path

import pytest

from local.fleet.rewrite import Rewriter

REWRITER = Rewriter(
    paths={"/etc/envoy": Path("/pods/a"), "/etc/envoy/config": Path("/pods/b"), "/tmp": Path("/pods/t")},
    ports={8000: 21000, 9901: 21001},
)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("/etc/envoy/envoy.yaml", "/pods/a/envoy.yaml"),
        ("/etc/envoy/config/clusters.yaml", "/pods/b/clusters.yaml"),
        ("--path=/etc/envoy", "--path=/pods/a"),
        ("a:/etc/envoy:/tmp/x", "a:/pods/a:/pods/t/x"),
        ("cat /tmp/a > /tmp/b.txt", "cat /pods/t/a > /pods/t/b.txt"),
        ("/etc/envoys/x", "/etc/envoys/x"),
        ("/other/etc/envoy/x", "/other/etc/envoy/x"),
        ("/etc/envoy.d/x", "/etc/envoy.d/x"),
        ("/etc/envoy-old", "/etc/envoy-old"),
        ("in /etc/envoy.", "in /pods/a."),
    ],
)
def test_mount_paths_become_folders_of_the_pod(text: str, result: str) -> None:
    assert REWRITER.text(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("127.0.0.1:9901", "127.0.0.1:21001"),
        ("http://localhost:8000/health", "http://127.0.0.1:21000/health"),
        ("0.0.0.0:8000", "127.0.0.1:21000"),
        ("[::]:8000", "127.0.0.1:21000"),
        ("localhost:8001", "localhost:8001"),
        ("127.0.0.1:80000", "127.0.0.1:80000"),
        ("notlocalhost:8000", "notlocalhost:8000"),
        ("1127.0.0.1:8000", "1127.0.0.1:8000"),
        ("chat.inference:8000", "chat.inference:8000"),
    ],
)
def test_the_pods_own_ports_become_real_ones(text: str, result: str) -> None:
    assert REWRITER.text(text) == result


def test_nothing_is_rewritten_twice() -> None:
    rewriter = Rewriter(paths={"/a": Path("/b"), "/b": Path("/c")})
    assert rewriter.text("/a/x /b/x") == "/b/x /c/x"


def test_a_mount_at_the_root_rewrites_nothing() -> None:
    assert Rewriter(paths={"/": Path("/pods/root")}).text("/etc/x") == "/etc/x"

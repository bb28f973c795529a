"""The resolver runs in front of a container's own code, so it is tested in processes of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.paths import ROOT

Python = Callable[[str], str]


@pytest.fixture
def server_port() -> Iterator[int]:
    """A server that says hello once per connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def python(tmp_path: Path, server_port: int) -> Python:
    """Runs code as a container of namespace `gateway` would, and returns what it prints."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        real = free.getsockname()[1]
    names = {
        "inference/chat": {"headless": True, "ports": {"8000": [["127.0.0.1", server_port]]}},
        "inference/asleep": {"headless": True, "ports": {"8000": []}},
        "gateway/gateway": {"headless": False, "ports": {"80": [["127.0.0.1", server_port]]}},
        "gateway/empty": {"headless": False, "ports": {"80": []}},
    }
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/settings").write_text("from the volume")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "local/fleet/resolver"),
        "LLM_PLATFORM_NAMES": str(tmp_path / "names.json"),
        "LLM_PLATFORM_NAMESPACE": "gateway",
        "LLM_PLATFORM_PORTS": json.dumps({"8080": real}),
        "LLM_PLATFORM_PATHS": json.dumps({"/etc/settings": str(tmp_path / "mounted")}),
        "REAL": str(real),
    }

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway/",
        "http://gateway.gateway/",
        "http://gateway.gateway.svc.cluster.local/",
        "http://chat.inference.svc:8000/",
    ],
)
def test_service_names_lead_to_ready_endpoints(python: Python, url: str) -> None:
    assert python(f"import urllib.request as r; print(r.urlopen('{url}').read().decode())") == "hello"


def test_asyncio_resolves_in_the_same_way(python: Python) -> None:
    code = """
import asyncio
async def main():
    reader, writer = await asyncio.open_connection("chat.inference", 8000)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print((await reader.read()).decode().rpartition("\\n")[2])
    writer.close()
asyncio.run(main())
"""
    assert python(code) == "hello"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("socket.create_connection(('nothing.inference', 80))", "gaierror"),
        ("socket.create_connection(('example.com', 80))", "gaierror"),
        ("socket.create_connection(('asleep.inference', 8000))", "gaierror"),
        ("socket.create_connection(('empty', 80))", "ConnectionRefusedError"),
        ("socket.create_connection(('198.51.100.1', 80), 1)", "is not on this machine"),
        ("socket.socket().connect(('192.0.2.1', 80))", "is not on this machine"),
        ("print(socket.socket().connect_ex(('192.0.2.1', 80)))", "is not on this machine"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))", "is not on this machine"),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "is not on this machine"),
        ("socket.socket().bind(('192.0.2.1', 80))", "is not an address of this pod"),
    ],
)
def test_nothing_leaves_the_machine(python: Python, code: str, error: str) -> None:
    guarded = (
        f"import socket\ntry:\n    {code}\nexcept OSError as error:\n    print(type(error).__name__, error)"
    )
    assert error in python(guarded)


@pytest.mark.parametrize(
    "listen",
    [
        "socket.create_server(('', 8080))",
        "socket.create_server(('0.0.0.0', 8080))",
        "socket.create_server(('127.0.0.1', 8080))",
        "socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)",
    ],
)
def test_the_pods_port_is_the_real_one_for_its_server_and_for_itself(python: Python, listen: str) -> None:
    code = f"""
import os, socket
server = {listen}
print(server.getsockname()[1] == int(os.environ["REAL"]), "127.0.0.1" in server.getsockname()[0])
socket.create_connection(("localhost", 8080)).close()
server.accept()[0].close()
"""
    assert python(code) == "True True"


def test_mounted_files_are_found_under_their_mount_path(python: Python) -> None:
    code = """
import pathlib
print(open("/etc/settings/settings").read(), "+", pathlib.Path("/etc/settings/settings").read_text())
"""
    assert python(code) == "from the volume + from the volume"


def test_unix_sockets_are_left_alone(python: Python, tmp_path: Path) -> None:
    code = f"""
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("{tmp_path}/s")
server.listen()
client = socket.socket(socket.AF_UNIX)
client.connect("{tmp_path}/s")
print("ok")
"""
    assert python(code) == "ok"

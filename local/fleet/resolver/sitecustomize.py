"""Gives a Python container the network it would have in a pod, as far as one machine can.

Python imports this module by its name at start, before the container's own code. Names of Services lead to
their real addresses, the pod's ports on localhost and the wildcard address lead to the ports that the pod was
given, mounted files are found under their mount path by `open`, and nothing connects to another machine.
Standard library only: it runs in front of somebody else's program.
"""

from __future__ import annotations

import builtins
import errno
import io
import ipaddress
import json
import os
import random
import socket
from typing import Any

_NAMES = os.environ["LLM_PLATFORM_NAMES"]
_NAMESPACE = os.environ["LLM_PLATFORM_NAMESPACE"]
_PORTS = {int(port): real for port, real in json.loads(os.environ["LLM_PLATFORM_PORTS"]).items()}
_PATHS: dict[str, str] = json.loads(os.environ["LLM_PLATFORM_PATHS"])

_REFUSED_PORT = 1
# Nothing listens on 127.0.0.1:1 (tcpmux): a Service without endpoints refuses connections, as kube-proxy
# does.

_getaddrinfo = socket.getaddrinfo
_bind = socket.socket.bind
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_sendto: Any = socket.socket.sendto
_open = io.open


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")


def _service(host: str) -> dict[str, Any] | None:
    parts = host.rstrip(".").lower().removesuffix(".cluster.local").split(".")
    if len(parts) == 1:
        key = f"{_NAMESPACE}/{parts[0]}"
    elif len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
        key = f"{parts[1]}/{parts[0]}"
    else:
        return None
    with _open(_NAMES, encoding="utf-8") as stream:
        return json.load(stream).get(key)


def _resolve(host: str, port: int) -> list[tuple[str, int]]:
    service = _service(host)
    if service is None:
        raise socket.gaierror(
            socket.EAI_NONAME,
            f"{host!r} is no Service of the local cluster, and nothing outside it is looked up",
        )
    addresses = [(address, real) for address, real in service["ports"].get(str(port), [])]
    random.shuffle(addresses)
    if service["headless"]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} has no ready endpoint with port {port}")
        return addresses
    return addresses[:1] or [("127.0.0.1", _REFUSED_PORT)]


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or _is_wildcard(name) or _is_loopback(name) or _is_address(name):
        return _getaddrinfo(host, port, *args, **kwargs)
    number = port if isinstance(port, int) else _port_number(port)
    found: list[Any] = []
    for address, real in _resolve(name, number):
        found += _getaddrinfo(address, real, *args, **kwargs)
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    return True


def _port_number(port: Any) -> int:
    text = port.decode() if isinstance(port, bytes) else str(port)
    return int(text) if text.isdecimal() else socket.getservbyname(text)


def _address(connection: socket.socket, address: Any) -> Any:
    """The address to connect to. Raises OSError for one that is not on this machine."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return address
    host, port = address[0], address[1]
    if not _is_loopback(host) and not _is_wildcard(host):
        if _is_address(host):
            raise OSError(
                101, f"{host}:{port} is not on this machine: the local cluster dials 127.0.0.1 only"
            )
        return _resolve(host, port)[0]
    real = _PORTS.get(port)
    return address if real is None else (host, real, *address[2:])


def bind(self: socket.socket, address: Any) -> None:
    if self.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return _bind(self, address)
    host = address[0]
    if not _is_wildcard(host) and not _is_loopback(host):
        raise OSError(errno.EADDRNOTAVAIL, f"{host} is not an address of this pod; listen on 0.0.0.0")
    if self.family == socket.AF_INET:
        host = "127.0.0.1"
    elif self.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        host = "::1"
    else:  # a socket for both families: probes and clients come by IPv4
        host = "::ffff:127.0.0.1"
    return _bind(self, (host, _PORTS.get(address[1], address[1]), *address[2:]))


def connect(self: socket.socket, address: Any) -> None:
    return _connect(self, _address(self, address))


def connect_ex(self: socket.socket, address: Any) -> int:
    return _connect_ex(self, _address(self, address))


def sendto(self: socket.socket, data: Any, *args: Any) -> int:
    *flags, address = args
    return _sendto(self, data, *flags, _address(self, address))


def open_mounted(file: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(file, (str, os.PathLike)):
        path = os.fspath(file)
        if isinstance(path, str):
            for mount, real in _PATHS.items():  # longest first
                if path == mount or path.startswith(mount + "/"):
                    return _open(real + path[len(mount) :], *args, **kwargs)
    return _open(file, *args, **kwargs)


socket.getaddrinfo = getaddrinfo
socket.socket.bind = bind
socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.socket.sendto = sendto
builtins.open = open_mounted
io.open = open_mounted

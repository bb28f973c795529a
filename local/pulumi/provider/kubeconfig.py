"""Which API server the provider talks to: only ever one on this machine."""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class KubeconfigError(ValueError):
    """The kubeconfig cannot be used; the message names the file, the entry and what to do."""


class NotLoopback(KubeconfigError):
    """The kubeconfig points at an API server on another machine, which this stand-in never touches."""


@dataclass(frozen=True)
class Credentials:
    """What a kubeconfig user offers. Each is PEM text or a token; None where the kubeconfig has none."""

    certificate: str | None
    key: str | None
    token: str | None


@dataclass(frozen=True)
class Cluster:
    """One context of a kubeconfig, resolved."""

    server: str
    """URL of the API server."""
    authority: str | None
    """PEM text of the certificate authority that signed the server's certificate; None: the system's own."""
    verify: bool
    """False where the kubeconfig says insecure-skip-tls-verify."""
    namespace: str
    """Namespace for objects that name none."""
    credentials: Credentials

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.credentials.certificate is not None and self.credentials.key is not None:
            # The standard library reads client certificates from files only; this one is gone at once, and
            # only its owner can read it meanwhile.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{self.credentials.certificate}\n{self.credentials.key}\n")
                file.flush()
                context.load_cert_chain(file.name)
        return context


def load(path_or_contents: str, context: str | None, cluster: str | None) -> Cluster:
    """The cluster that a kubeconfig (a path, or its contents) names.

    `context` and `cluster` override the kubeconfig's own choice. Raises KubeconfigError, and NotLoopback
    where the API server is on another machine.
    """
    document, origin, folder = _document(path_or_contents)
    context_name = context if context is not None else _text(document, "current-context")
    if context_name is None:
        raise KubeconfigError(f"{origin} has no current-context; set one or give the provider a context")
    chosen = _entry(document, "contexts", "context", context_name, origin)
    cluster_name = cluster if cluster is not None else _text(chosen, "cluster")
    if cluster_name is None:
        raise KubeconfigError(f"{origin}: context {context_name!r} names no cluster")
    entry = _entry(document, "clusters", "cluster", cluster_name, origin)
    server = _text(entry, "server")
    if server is None:
        raise KubeconfigError(f"{origin}: cluster {cluster_name!r} has no server")
    refuse_other_machines(server, origin)
    user = _text(chosen, "user")
    namespace = _text(chosen, "namespace")
    return Cluster(
        server=server.rstrip("/"),
        authority=_pem(entry, "certificate-authority", folder, origin),
        verify=entry.get("insecure-skip-tls-verify") is not True,
        namespace="default" if namespace is None else namespace,
        credentials=_credentials(
            {} if user is None else _entry(document, "users", "user", user, origin), folder, origin
        ),
    )


def refuse_other_machines(server: str, origin: str) -> None:
    """Raises NotLoopback unless the URL's host is localhost, in 127.0.0.0/8 or ::1."""
    host = urlsplit(server).hostname
    if host == "localhost":
        return
    try:
        loopback = host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopback(
            f"{origin} points at {server}, which is not on this machine. The Kubernetes provider in use is a "
            "local stand-in that only talks to 127.0.0.0/8, ::1 or localhost. For a real cluster install "
            "Pulumi's own CLI and plugin (`pulumi plugin install resource kubernetes`) and run without this "
            "checkout's PULUMI_HOME"
        )


def _document(path_or_contents: str) -> tuple[Mapping[str, Any], str, Path]:
    path = Path(os.path.expanduser(path_or_contents)) if "\n" not in path_or_contents else None
    try:
        if path is not None and path.is_file():
            text, origin, folder = path.read_text(), f"kubeconfig {path}", path.parent
        else:
            text, origin, folder = path_or_contents, "the provider's kubeconfig", Path.cwd()
        document = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"the kubeconfig cannot be read: {error}") from error
    if not isinstance(document, dict):
        shown = f"file {path_or_contents} does not exist" if path is not None else "it is not a YAML mapping"
        raise KubeconfigError(f"the kubeconfig cannot be read: {shown}; is the cluster up?")
    return document, origin, folder


def _entry(document: Mapping[str, Any], section: str, kind: str, name: str, origin: str) -> Mapping[str, Any]:
    entries = document.get(section)
    named = {
        entry["name"]: entry.get(kind)
        for entry in entries or []
        if isinstance(entry, dict) and "name" in entry
    }
    found = named.get(name)
    if not isinstance(found, dict):
        choice = ", ".join(sorted(named)) or "none"
        raise KubeconfigError(f"{origin} has no {kind} {name!r}; it has: {choice}")
    return found


def _text(mapping: Mapping[str, Any], key: str) -> str | None:
    value = mapping.get(key)
    return value if isinstance(value, str) and value else None


def _pem(entry: Mapping[str, Any], key: str, folder: Path, origin: str) -> str | None:
    data = _text(entry, f"{key}-data")
    file = _text(entry, key)
    try:
        if data is not None:
            return base64.b64decode(data, validate=True).decode()
        return (folder / file).read_text() if file is not None else None
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{origin}: {key} cannot be read: {error}") from error


def _credentials(user: Mapping[str, Any], folder: Path, origin: str) -> Credentials:
    for key in ("exec", "auth-provider"):
        if key in user:
            raise KubeconfigError(f"{origin}: the local stand-in does not run credential plugins ({key})")
    token_file = _text(user, "tokenFile")
    try:
        token = (folder / token_file).read_text().strip() if token_file is not None else _text(user, "token")
    except OSError as error:
        raise KubeconfigError(f"{origin}: tokenFile cannot be read: {error}") from error
    return Credentials(
        certificate=_pem(user, "client-certificate", folder, origin),
        key=_pem(user, "client-key", folder, origin),
        token=token,
    )

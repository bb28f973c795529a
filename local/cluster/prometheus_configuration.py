"""Carries the operator's configuration to the Prometheus process: what its reloader sidecar is in a cluster.

`python -m local.cluster.prometheus_configuration http://127.0.0.1:PORT` watches the Secret and the rule
ConfigMaps that the operator writes, puts them into files and reloads Prometheus: by a signal, because the
address that reloads it (`--web.enable-lifecycle`) comes with one that ends it, for every user of the machine.
"""

from __future__ import annotations

import base64
import gzip
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from local.cluster.supervision import SupervisionError, Supervisor
from local.paths import KUBECONFIG, STATE

NAMESPACE = "monitoring"
SECRET = "prometheus-local"
FOLDER = STATE / "prometheus"
CONFIGURATION = FOLDER / "prometheus.yaml"
RULES = FOLDER / "rules"
RULES_IN_POD = "/etc/prometheus/rules/prometheus-local-rulefiles-0"
"""Where the operator tells Prometheus to look for rules."""

WATCH_SECONDS = 300
RETRY_SECONDS = 1.0
RELOAD_SECONDS = 10.0
LOOK_SECONDS = 0.1
LOADED = "prometheus_config_last_reload_success_timestamp_seconds"
"""Prometheus' own metric: when it last took a configuration, to the nanosecond."""


@dataclass(frozen=True)
class ClusterTls:
    """How to reach the API server with the administrator's certificate, as files."""

    server: str
    authority: Path
    certificate: Path
    key: Path


def cluster_tls() -> ClusterTls:
    document = yaml.safe_load(KUBECONFIG.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    return ClusterTls(
        server=cluster["server"],
        authority=_file(cluster, "certificate-authority"),
        certificate=_file(user, "client-certificate"),
        key=_file(user, "client-key"),
    )


def _file(entry: dict[str, str], name: str) -> Path:
    """A credential of the kubeconfig as a file: kwokctl embeds some of them as data."""
    if name in entry:
        return Path(entry[name])
    path = FOLDER / f"{name}.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(entry[f"{name}-data"]))
    return path


def prepare() -> None:
    """Files with which Prometheus can start before the operator has written anything."""
    RULES.mkdir(parents=True, exist_ok=True)
    if not CONFIGURATION.exists():
        CONFIGURATION.write_text("global: {}\n")


def translated(document: bytes) -> str:
    """The operator's configuration for a process instead of a pod: paths and the variables of its sidecar."""
    text = gzip.decompress(document).decode()
    for variable, value in {
        "$(POD_NAME)": "prometheus-local-0",
        "$(SHARD)": "0",
        RULES_IN_POD: str(RULES),
    }.items():
        text = text.replace(variable, value)
    return text


def write(configuration: str, rules: dict[str, str]) -> bool:
    """Puts the files in place. Returns whether anything is different from before."""
    wanted = {CONFIGURATION: configuration, **{RULES / name: text for name, text in rules.items()}}
    present = {CONFIGURATION, *RULES.iterdir()}
    changed = False
    for path in present - wanted.keys():
        path.unlink()
        changed = True
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            replacement = path.with_suffix(".new")
            replacement.write_text(text)
            os.replace(replacement, path)
            changed = True
    return changed


class Carrier:
    def __init__(self, api: client.CoreV1Api, prometheus: str) -> None:
        self._api = api
        self._prometheus = prometheus
        self._supervisor = Supervisor()
        self._reloaded = False

    def carry(self) -> None:
        """Writes the present state and reloads Prometheus if it is new or the last reload failed."""
        try:
            secret = self._api.read_namespaced_secret(SECRET, NAMESPACE)
        except ApiException as error:
            if error.status == 404:
                return
            raise
        configuration = translated(base64.b64decode((secret.data or {})["prometheus.yaml.gz"]))
        maps = self._api.list_namespaced_config_map(NAMESPACE, label_selector="prometheus-name=local")
        rules = {name: text for one in maps.items for name, text in (one.data or {}).items()}
        if write(configuration, rules) or not self._reloaded:
            self._reloaded = self._reload()
            outcome = "done" if self._reloaded else "refused, see prometheus.log"
            print(f"reload with {len(rules)} rule files: {outcome}", flush=True)

    def _reload(self) -> bool:
        """Whether Prometheus has taken the files.

        Raises SupervisionError and httpx.HTTPError while it does not run.
        """
        with httpx.Client(base_url=self._prometheus, trust_env=False, timeout=RELOAD_SECONDS) as prometheus:
            # Before it is ready the signal would end it.
            prometheus.get("/-/ready").raise_for_status()
            before = _loaded_at(prometheus)
            self._supervisor.signal("prometheus", "HUP")
            deadline = time.monotonic() + RELOAD_SECONDS
            while _loaded_at(prometheus) == before:
                if time.monotonic() > deadline:
                    return False
                time.sleep(LOOK_SECONDS)
        return True


def _loaded_at(prometheus: httpx.Client) -> str | None:
    answer = prometheus.get("/metrics").raise_for_status()
    lines = (line.split() for line in answer.text.splitlines())
    return next((parts[1] for parts in lines if parts[:1] == [LOADED]), None)


def follow(list_objects: Callable[..., object], changed: threading.Event) -> None:
    """Sets `changed` on every event of one kind of object, for as long as the process runs."""
    while True:
        try:
            for _ in watch.Watch().stream(list_objects, NAMESPACE, timeout_seconds=WATCH_SECONDS):
                changed.set()
        except (ApiException, HTTPError):
            time.sleep(RETRY_SECONDS)


def main() -> None:
    config.load_kube_config(str(KUBECONFIG))
    api = client.CoreV1Api()
    carrier = Carrier(api, sys.argv[1])
    changed = threading.Event()
    changed.set()
    for list_objects in (api.list_namespaced_secret, api.list_namespaced_config_map):
        threading.Thread(target=follow, args=(list_objects, changed), daemon=True).start()
    while changed.wait():
        changed.clear()
        try:
            carrier.carry()
        except (ApiException, HTTPError, httpx.HTTPError, SupervisionError, OSError) as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            time.sleep(RETRY_SECONDS)
            changed.set()


if __name__ == "__main__":
    main()

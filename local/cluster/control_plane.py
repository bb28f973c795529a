"""The control plane: kwokctl creates it (certificates, flags, wiring), our supervisor runs it.

kwokctl can also run it, but it starts processes once and leaves them; a killed API server would stay dead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from local.cluster.certificates import issue
from local.cluster.ports import Ports, chosen
from local.cluster.supervision import Program
from local.fleet.stages import stages
from local.paths import KUBECONFIG, PROCESS_MARKER, STATE
from local.toolchain.obtain import Toolchain

NAME = "local"
FOLDER = STATE / "control-plane"
CLUSTER_FOLDER = FOLDER / "clusters" / NAME
ETCD_CERTIFICATES = FOLDER / "etcd-certificates"
"""One certificate and its key, with which etcd serves and the API server asks. It is its own authority, so no
other certificate of the cluster opens etcd. The key can be read by its owner only."""

CREATED = FOLDER / "created"
"""Written last: a creation that was interrupted is repeated from nothing."""

START_ORDER = {"etcd": 10, "kube-apiserver": 20}
"""The rest of the control plane starts after these, Karpenter and the fleet after all of it."""


class ControlPlaneError(Exception):
    """kwokctl could not create the control plane; the text holds the end of its output."""


def create(toolchain: Toolchain) -> None:
    """Creates certificates, flags and configuration under STATE; nothing runs afterwards.

    Raises ControlPlaneError with kwokctl's own words.
    """
    if CREATED.exists():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    configuration = FOLDER / "kwokctl.yaml"
    issue(ETCD_CERTIFICATES, "etcd", ("localhost",))
    configuration.write_text(yaml.safe_dump_all(configuration_documents(chosen()), sort_keys=False))
    scheduler = FOLDER / "scheduler.yaml"
    scheduler.write_text(yaml.safe_dump(scheduler_configuration(), sort_keys=False))
    environment = {
        **os.environ,
        PROCESS_MARKER: str(STATE),
        "KWOK_WORKDIR": str(FOLDER),
        "KWOK_RUNTIME": "binary",
        "KWOK_ETCD_BINARY": str(toolchain.path("etcd")),
        "KWOK_KUBE_APISERVER_BINARY": str(toolchain.path("kube-apiserver")),
        "KWOK_KUBE_CONTROLLER_MANAGER_BINARY": str(toolchain.path("kube-controller-manager")),
        "KWOK_KUBE_SCHEDULER_BINARY": str(toolchain.path("kube-scheduler")),
        "KWOK_KUBECTL_BINARY": str(toolchain.path("kubectl")),
        "KWOK_CONTROLLER_BINARY": str(toolchain.path("kwok")),
    }
    kwokctl = str(toolchain.path("kwokctl"))
    for arguments in (
        [
            "create",
            "cluster",
            "--config",
            str(configuration),
            "--kubeconfig",
            str(KUBECONFIG),
            "--wait",
            "0s",
        ],
        ["stop", "cluster"],
    ):
        answer = subprocess.run(
            [kwokctl, "--name", NAME, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise ControlPlaneError(
                f"kwokctl {' '.join(arguments)} failed with exit status {answer.returncode}:\n"
                + "\n".join(answer.stderr.splitlines()[-10:])
            )
    CREATED.touch()


def programs() -> tuple[Program, ...]:
    """What kwokctl wrote down to run, as supervised programs."""
    document: dict[str, Any] = next(yaml.safe_load_all((CLUSTER_FOLDER / "kwok.yaml").read_text()))
    return tuple(
        Program(
            name=component["name"],
            command=(component["binary"], *component["args"]),
            folder=Path(component["workDir"]),
            order=START_ORDER.get(component["name"], 30),
        )
        for component in document["components"]
    )


def etcd_address(ports: Ports) -> str:
    """Where etcd answers to whoever shows its certificate."""
    return f"https://127.0.0.1:{ports.etcd}"


def configuration_documents(ports: Ports) -> list[dict[str, Any]]:
    """kwokctl's configuration: the cluster itself and every Stage (one Stage here replaces all defaults)."""
    pki = CLUSTER_FOLDER / "pki"
    options = {
        "runtime": "binary",
        # The default binds every interface; this covers etcd and kwok too, which extra arguments do not.
        "bindAddress": "127.0.0.1",
        # A restarted kwok waits until the leases of its predecessor run out before it takes over the nodes.
        # The default is 200 s, in which pods that only kwok runs hang; 16 s cost one request per node in 4 s.
        "nodeLeaseDurationSeconds": 16,
        "kubeSchedulerConfig": str(FOLDER / "scheduler.yaml"),
        # Known before kwokctl writes etcd's addresses, which must not be plain HTTP.
        "etcdPort": ports.etcd,
        "etcdPeerPort": ports.etcd_peer,
    }
    certificate, key, authority = (str(ETCD_CERTIFICATES / name) for name in ("tls.crt", "tls.key", "ca.crt"))
    patches = [
        {"name": "etcd", "extraArgs": _etcd_arguments(ports, certificate, key, authority)},
        {
            "name": "kube-apiserver",
            "extraArgs": [
                {"key": "etcd-servers", "value": etcd_address(ports), "override": True},
                {"key": "etcd-cafile", "value": authority},
                {"key": "etcd-certfile", "value": certificate},
                {"key": "etcd-keyfile", "value": key},
                # For aggregated APIs (external metrics). The authority is the cluster's own, hence the name.
                {"key": "requestheader-client-ca-file", "value": str(pki / "ca.crt")},
                {"key": "requestheader-allowed-names", "value": "kwok-admin"},
                {"key": "requestheader-extra-headers-prefix", "value": "X-Remote-Extra-"},
                {"key": "requestheader-group-headers", "value": "X-Remote-Group"},
                {"key": "requestheader-username-headers", "value": "X-Remote-User"},
                # The reconciler would publish a loopback address as an endpoint, which the API refuses.
                {"key": "endpoint-reconciler-type", "value": "none"},
            ],
        },
        {
            "name": "kube-controller-manager",
            # 15 s is the default; a burst on one machine should be watched in minutes, not in an hour.
            "extraArgs": [{"key": "horizontal-pod-autoscaler-sync-period", "value": "5s"}],
        },
    ]
    return [
        {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": options,
            "componentsPatches": patches,
        },
        *stages(),
    ]


def _etcd_arguments(ports: Ports, certificate: str, key: str, authority: str) -> list[dict[str, Any]]:
    """Loopback is shared by all users of a machine: etcd asks clients and peers for its certificate."""
    clients, peers = etcd_address(ports), f"https://127.0.0.1:{ports.etcd_peer}"
    addresses = {
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"node0={peers}",
    }
    security = {
        "client-cert-auth": "true",
        "trusted-ca-file": authority,
        "cert-file": certificate,
        "key-file": key,
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": authority,
        "peer-cert-file": certificate,
        "peer-key-file": key,
    }
    return [
        *({"key": name, "value": value, "override": True} for name, value in addresses.items()),
        *({"key": name, "value": value} for name, value in security.items()),
    ]


def scheduler_configuration() -> dict[str, Any]:
    """Retries a pending pod after one second: the default back-off costs 8 s after a node became ready."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    }

"""The embedded cluster as one thing: bring it up, look at it, take it down."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from local.cluster import addresses, control_plane, hub, karpenter, keda, monitoring
from local.cluster.ports import chosen
from local.cluster.processes import end_leftovers
from local.cluster.supervision import Program, ProgramState, Supervisor, socket_path
from local.paths import BIN, KUBECONFIG, LOGS, ROOT, STATE
from local.toolchain.obtain import Toolchain

READY_SECONDS = 60.0
OWNED = STATE / "owned-by-llm-platform"
"""Present in every state folder we made: `down` removes a folder only if it holds this."""


class ClusterError(Exception):
    """The cluster could not be brought up or taken down; the text says which part, and where its log is."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    kubectl_path: Path
    kubeconfig: Path = KUBECONFIG
    state: Path = STATE

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl's standard output.

        Raises ClusterError with kubectl's own message.
        """
        answer = subprocess.run(
            [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout


def up(toolchain: Toolchain, cold_start_scale: float, say: Callable[[str], None]) -> Cluster:
    """Brings every process of the cluster up; a no-op where all of it runs.

    `cold_start_scale` is the share of a real engine's start-up time that the emulator takes.
    Raises ClusterError, ControlPlaneError or SupervisionError.
    """
    _claim_state_folder()
    cluster = Cluster(toolchain.path("kubectl"))
    supervisor = Supervisor()
    running = supervisor.running()
    if running:
        say("supervisor is running")
    else:
        ended = end_leftovers()
        if ended:
            say(f"ended {ended} processes that an earlier supervisor left behind")
        socket_path().unlink(missing_ok=True)
        control_plane.create(toolchain)
    control, parts = control_plane.programs(), _parts(toolchain, cold_start_scale)
    if not running:
        supervisor.launch((*control, *parts))
    for program in control:
        supervisor.start(program.name)
    _wait_ready(supervisor)
    link_tool("kubectl", toolchain.path("kubectl"))
    addresses.note_addresses(chosen())
    _apply_objects(cluster, toolchain)
    for program in parts:
        supervisor.start(program.name)
    say(f"control plane ready at {api_server()}")
    return cluster


def down() -> int:
    """Ends every process and removes the state folder, however damaged. Returns how many strays were ended.

    Raises ClusterError if STATE is a folder that is not ours.
    """
    if STATE.exists() and not OWNED.exists() and any(STATE.iterdir()):
        raise ClusterError(
            f"{STATE} was not made by the local cluster: nothing removed. "
            "Unset LLM_PLATFORM_STATE or point it at a folder of its own."
        )
    Supervisor().shut_down()
    ended = end_leftovers()
    socket_path().unlink(missing_ok=True)
    shutil.rmtree(STATE, ignore_errors=True)
    return ended


def states() -> tuple[ProgramState, ...]:
    """What the supervisor knows of each process; empty if it does not run."""
    supervisor = Supervisor()
    return supervisor.states() if supervisor.running() else ()


def api_server() -> str:
    """Address of the API server, from the kubeconfig."""
    return str(yaml.safe_load(KUBECONFIG.read_text())["clusters"][0]["cluster"]["server"])


def _claim_state_folder() -> None:
    if STATE.exists() and not OWNED.exists() and any(STATE.iterdir()):
        raise ClusterError(
            f"{STATE} exists and holds other files. Point LLM_PLATFORM_STATE at a folder of its own."
        )
    STATE.mkdir(parents=True, exist_ok=True)
    OWNED.touch()
    LOGS.mkdir(exist_ok=True)


def _parts(toolchain: Toolchain, cold_start_scale: float) -> tuple[Program, ...]:
    """What runs on top of the control plane: elsewhere add-ons, and the kubelets."""
    ports = chosen()
    fleet = Program(
        name="fleet",
        command=(sys.executable, "-m", "local.fleet", "--cold-start-scale", f"{cold_start_scale:g}"),
        order=50,
        environment={
            "KUBECONFIG": str(KUBECONFIG),
            "LLM_PLATFORM_STATE": str(STATE),
            "PYTHONPATH": str(ROOT),
        },
    )
    return (
        karpenter.program(toolchain, ports),
        *monitoring.programs(toolchain, ports),
        *keda.programs(toolchain, ports),
        hub.program(ports),
        fleet,
    )


def _apply_objects(cluster: Cluster, toolchain: Toolchain) -> None:
    """The objects that a managed cluster with its add-ons brings along."""
    keda.prepare()
    apply = ("apply", "--server-side", "--force-conflicts", "-f")
    definitions = (
        karpenter.custom_resource_definitions(toolchain),
        monitoring.custom_resource_definitions(toolchain),
        keda.custom_resource_definitions(toolchain),
    )
    cluster.kubectl(*apply, ",".join(map(str, definitions)))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    ports = chosen()
    objects = [*monitoring.manifests(ports), *keda.manifests(ports)]
    own = ("system-node.yaml", "storage-class.yaml")
    cluster.kubectl(*apply, ",".join(str(Path(__file__).with_name(name)) for name in own))
    cluster.kubectl(*apply, "-", stdin=yaml.safe_dump_all(objects))


def _wait_ready(supervisor: Supervisor) -> None:
    pki = control_plane.CLUSTER_FOLDER / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(verify=context, timeout=2.0, trust_env=False) as client:
        while True:
            try:
                if client.get(f"{api_server()}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                states = ", ".join(f"{s.name} {s.state}" for s in supervisor.states())
                raise ClusterError(
                    f"the API server was not ready within {READY_SECONDS:.0f} s ({states}); logs in {LOGS}"
                )
            time.sleep(0.1)


def link_tool(name: str, path: Path) -> None:
    """Makes a tool available under STATE/bin, which `make env` puts first on PATH."""
    BIN.mkdir(exist_ok=True)
    link = BIN / name
    link.unlink(missing_ok=True)
    link.symlink_to(path)

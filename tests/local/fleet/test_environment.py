from __future__ import annotations

from typing import Any

import pytest

from local.fleet.environment import ConfigError, Sources, environment, expand
from tests.local.fleet.conftest import MakePod


def resolve(make_pod: MakePod, sources: Sources, env: list[dict[str, Any]], **more: Any) -> dict[str, str]:
    pod = make_pod(env=env, **more)
    return environment(pod, pod.spec.containers[0], sources)


def test_references_to_earlier_variables_are_expanded_and_unknown_ones_stay() -> None:
    assert expand("$(A)-$(B)-$$(A)", {"A": "1"}) == "1-$(B)-$(A)"


def test_literals_see_the_variables_before_them(make_pod: MakePod, sources: Sources) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}, {"name": "C", "value": "$(D)"}]
    assert resolve(make_pod, sources, env) == {"A": "1", "B": "12", "C": "$(D)"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "chat-0"),
        ("metadata.namespace", "inference"),
        ("spec.nodeName", "node-1"),
        ("status.podIP", "198.51.100.7"),
        ("metadata.labels['app']", "chat"),
        ("metadata.labels['none']", ""),
    ],
)
def test_fields(make_pod: MakePod, sources: Sources, path: str, value: str) -> None:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert resolve(make_pod, sources, env, metadata={"labels": {"app": "chat"}}) == {"X": value}


def test_an_unknown_field_names_the_known_ones(make_pod: MakePod, sources: Sources) -> None:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.wrong"}}}]
    with pytest.raises(ConfigError, match=r"spec\.wrong.*metadata\.name"):
        resolve(make_pod, sources, env)


def test_resources(make_pod: MakePod, sources: Sources) -> None:
    env = [
        {
            "name": "MEMORY",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
        {"name": "GPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.nvidia.com/gpu"}}},
    ]
    resources = {"limits": {"memory": "2Gi", "nvidia.com/gpu": "2"}}
    assert resolve(make_pod, sources, env, resources=resources) == {"MEMORY": "2048", "GPUS": "2"}


def test_config_maps_and_secrets(make_pod: MakePod, sources: Sources) -> None:
    env = [
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
    ]
    assert resolve(make_pod, sources, env) == {"MODE": "fast", "TOKEN": "secret"}


def test_env_from_comes_first_and_takes_a_prefix(make_pod: MakePod, sources: Sources) -> None:
    found = resolve(
        make_pod,
        sources,
        [{"name": "P_mode", "value": "slow"}],
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
    )
    assert found == {"P_mode": "slow", "P_level": "3", "token": "secret"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"name": "none", "key": "mode"}, "configmap 'none' not found"),
        ({"name": "settings", "key": "mod"}, "has no key 'mod'; it has level, mode"),
    ],
)
def test_what_is_missing_is_named(
    make_pod: MakePod, sources: Sources, reference: dict[str, str], message: str
) -> None:
    env = [{"name": "MODE", "valueFrom": {"configMapKeyRef": reference}}]
    with pytest.raises(ConfigError, match=message):
        resolve(make_pod, sources, env)

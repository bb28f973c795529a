from __future__ import annotations

import pytest
import yaml

from local.pulumi.provider.settings import from_variables, refusals, replacing_arguments
from local.pulumi.provider.values import UNKNOWN


def kubeconfig(server):
    return yaml.safe_dump(
        {
            "clusters": [{"name": "a", "cluster": {"server": server}}],
            "contexts": [{"name": "a", "context": {"cluster": "a"}}],
            "current-context": "a",
        }
    )


HERE = kubeconfig("https://127.0.0.1:1")
THERE = kubeconfig("https://127.0.0.1:2")


def test_arguments_come_before_the_environment():
    environment = {"PULUMI_K8S_ENABLE_SECRET_MUTABLE": "true", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE": "true"}
    settings = from_variables({"kubernetes:config:enableSecretMutable": "false"}, environment)
    assert not settings.secret_mutable
    assert settings.config_map_mutable
    assert not settings.patch_force


def test_the_kubeconfig_falls_back_to_the_environment_and_the_home_folder():
    assert from_variables({"kubernetes:config:kubeconfig": "x"}, {"KUBECONFIG": "y"}).kubeconfig == "x"
    assert from_variables({"kubernetes:config:kubeconfig": ""}, {"KUBECONFIG": "y"}).kubeconfig == "y"
    assert from_variables({}, {}).kubeconfig == "~/.kube/config"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"kubeconfig": HERE}, []),
        ({"kubeconfig": UNKNOWN}, []),
        ({"kubeconfig": "/no/such/file"}, []),
        ({"kubeconfig": kubeconfig("https://192.0.2.1")}, ["kubeconfig"]),
        ({"enableServerSideApply": "false"}, ["enableServerSideApply"]),
        ({"renderYamlToDirectory": "out"}, ["renderYamlToDirectory"]),
    ],
)
def test_arguments_that_cannot_be_used_are_named(given, refused):
    assert [entry.argument for entry in refusals(given)] == refused


def arguments(kubeconfig, identifier=None):
    return {"kubeconfig": kubeconfig, **({} if identifier is None else {"clusterIdentifier": identifier})}


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        (arguments(HERE), arguments(f"{HERE}\n"), []),
        (arguments(HERE), arguments(THERE), ["kubeconfig"]),
        (arguments(HERE, "a"), arguments(THERE, "a"), []),
        (arguments(HERE, "a"), arguments(UNKNOWN, "a"), []),
        (arguments(HERE, "a"), arguments(HERE, "b"), ["clusterIdentifier"]),
        (arguments(HERE), arguments(HERE, "a"), []),
        (arguments(HERE), arguments(UNKNOWN), ["kubeconfig"]),
    ],
)
def test_only_another_cluster_replaces_the_provider(old, new, replaced):
    assert replacing_arguments(old, new) == replaced

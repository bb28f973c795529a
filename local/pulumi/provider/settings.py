"""The provider's configuration: the same keys and environment variables as the official plugin's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.pulumi.provider import kubeconfig
from local.pulumi.provider.kubeconfig import KubeconfigError

_PREFIX: Final = "kubernetes:config:"


@dataclass(frozen=True)
class Settings:
    kubeconfig: str
    """A path, or the contents of a kubeconfig."""
    context: str | None
    cluster: str | None
    namespace: str | None
    """Namespace for objects that name none; None: the kubeconfig's own."""
    config_map_mutable: bool
    secret_mutable: bool
    patch_force: bool
    upsert_existing_objects: bool
    delete_unreachable: bool


def from_variables(variables: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of a Configure request: the provider's arguments first, then PULUMI_K8S_ variables."""

    def text(name: str) -> str | None:
        value = variables.get(f"{_PREFIX}{name}")
        return value if value else None

    def flag(name: str, variable: str) -> bool:
        value = text(name)
        return (environment.get(variable) if value is None else value) == "true"

    path = text("kubeconfig")
    if path is None:
        path = environment.get("KUBECONFIG", "~/.kube/config")
    return Settings(
        kubeconfig=path,
        context=text("context"),
        cluster=text("cluster"),
        namespace=text("namespace"),
        config_map_mutable=flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
        secret_mutable=flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
        patch_force=flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
        upsert_existing_objects=flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
        delete_unreachable=flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
    )


@dataclass(frozen=True)
class Refusal:
    """An argument of the provider that cannot be used, and why."""

    argument: str
    reason: str


def refusals(arguments: Mapping[str, Any]) -> list[Refusal]:
    """What is wrong with a provider's arguments, secrets revealed; unknown ones are judged once they are
    known."""
    found: list[Refusal] = []
    if arguments.get("enableServerSideApply") in (False, "false"):
        found.append(
            Refusal("enableServerSideApply", "the local stand-in only does server-side apply; remove it")
        )
    if arguments.get("renderYamlToDirectory"):
        found.append(Refusal("renderYamlToDirectory", "the local stand-in does not render YAML; remove it"))
    path = arguments.get("kubeconfig")
    if isinstance(path, str) and path:
        try:
            kubeconfig.load(path, _optional(arguments, "context"), _optional(arguments, "cluster"))
        except kubeconfig.NotLoopback as error:
            found.append(Refusal("kubeconfig", str(error)))
        except KubeconfigError:
            pass  # not fatal for a preview: the file may come with the cluster; operations report it
    return found


def replacing_arguments(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Arguments whose change replaces the provider, and with it everything it made.

    With an unchanged `clusterIdentifier` none does; otherwise a changed identifier does, and so does another
    cluster behind `kubeconfig`, `context` or `cluster`.
    """
    identifier = new.get("clusterIdentifier")
    if identifier and identifier == old.get("clusterIdentifier"):
        return []
    replacing = ["clusterIdentifier"] if identifier and old.get("clusterIdentifier") else []
    names = [name for name in ("kubeconfig", "context", "cluster") if old.get(name) != new.get(name)]
    if names and _server(old) != _server(new):
        replacing += names
    return replacing


def _server(arguments: Mapping[str, Any]) -> str | None:
    path = arguments.get("kubeconfig")
    if not isinstance(path, str):
        return None
    try:
        return kubeconfig.load(path, _optional(arguments, "context"), _optional(arguments, "cluster")).server
    except KubeconfigError:
        return None


def _optional(arguments: Mapping[str, Any], name: str) -> str | None:
    value = arguments.get(name)
    return value if isinstance(value, str) and value else None

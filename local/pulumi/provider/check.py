"""Check: a program's inputs become the inputs that are compared, sent and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider.api import GroupVersionKind, Unreachable
from local.pulumi.provider.inputs import UnsupportedResource
from local.pulumi.provider.naming import NamingError, Proposal, adopt_name, generate_name
from local.pulumi.provider.readiness import AnnotationError, timeout_seconds
from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.session import Registered, Session
from local.pulumi.provider.values import Properties, from_kubernetes, to_kubernetes


@dataclass(frozen=True)
class Naming:
    """What the engine gives for a generated name."""

    seed: bytes
    proposal: Proposal | None


@dataclass(frozen=True)
class Checked:
    inputs: Properties
    failures: tuple[str, ...]


def check(
    session: Session, resource: Registered, news: Properties, olds: Mapping[str, Any], naming: Naming
) -> Checked:
    """Inputs with a name, a namespace and the form that the server stores. `olds` are the previous inputs."""
    try:
        program_inputs.refuse_unsupported(resource.type)
        obj = program_inputs.normalize(to_kubernetes(news))
        kind = GroupVersionKind.of_type(resource.type)
        obj.setdefault("apiVersion", kind.api_version)
        obj.setdefault("kind", kind.kind)
        if olds:
            adopt_name(obj, to_kubernetes(olds))
        generate_name(obj, resource.name, naming.seed, naming.proposal)
        timeout_seconds(obj, custom=0.0)
    except (UnsupportedResource, NamingError, AnnotationError) as error:
        return Checked(news, (str(error),))
    session.announce(obj)
    try:
        if session.is_namespaced(obj):
            program_inputs.set_namespace(obj, session.namespace)
    except Unreachable as error:
        session.report_unchecked(error)
    return Checked(mark_secrets(from_kubernetes(obj), news), ())

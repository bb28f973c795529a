# ruff: noqa: N802  the methods are named by the protocol
"""The resource provider protocol: requests in, answers, errors and log lines out."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NoReturn

import grpc
from google.protobuf import empty_pb2

from local.pulumi.provider import settings as provider_settings
from local.pulumi.provider.api import ApiError, Unreachable
from local.pulumi.provider.check import Naming, check
from local.pulumi.provider.create import create, preview_create
from local.pulumi.provider.delete import delete
from local.pulumi.provider.diagnostics import STAND_IN, Diagnostics
from local.pulumi.provider.diff import diff
from local.pulumi.provider.differences import Change, format_path
from local.pulumi.provider.kubeconfig import KubeconfigError
from local.pulumi.provider.naming import NamingError, Proposal
from local.pulumi.provider.read import read
from local.pulumi.provider.readiness import AnnotationError
from local.pulumi.provider.saving import InitializationFailed
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.update import preview_update, update
from local.pulumi.provider.values import UNKNOWN, UnsupportedValue, decode, encode, reveal
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

VERSION: Final = "4.34.2"
"""Version of the official plugin that this stands in for; the SDK asks for it by this number."""

_UNSUPPORTED: Final = (
    "the local stand-in for the Kubernetes provider has no {what}; register the objects as typed "
    "resources, or install Pulumi's own plugin"
)

_Diff = provider_pb2.DiffResponse
_Kind = provider_pb2.PropertyDiff

_KINDS: Final = {
    (Change.ADD, False): _Kind.ADD,
    (Change.ADD, True): _Kind.ADD_REPLACE,
    (Change.DELETE, False): _Kind.DELETE,
    (Change.DELETE, True): _Kind.DELETE_REPLACE,
    (Change.UPDATE, False): _Kind.UPDATE,
    (Change.UPDATE, True): _Kind.UPDATE_REPLACE,
}

_MODES: Final[dict[Any, Literal["propose", "enforce", "disable"]]] = {
    provider_pb2.CheckRequest.AutonamingOptions.PROPOSE: "propose",
    provider_pb2.CheckRequest.AutonamingOptions.ENFORCE: "enforce",
    provider_pb2.CheckRequest.AutonamingOptions.DISABLE: "disable",
}


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


@contextmanager
def _errors(context: grpc.ServicerContext) -> Iterator[None]:
    """Turns what an operation raises into what the engine shows."""
    try:
        yield
    except InitializationFailed as error:
        _abort_partially(context, error)
    except (
        OperationFailed,
        ApiError,
        Unreachable,
        UnsupportedValue,
        NamingError,
        KubeconfigError,
        AnnotationError,
    ) as error:
        _abort(context, str(error))
    except Exception:
        _abort(
            context,
            f"fault in the local Kubernetes provider stand-in, please report it:\n{traceback.format_exc()}",
        )


def _abort_partially(context: grpc.ServicerContext, error: InitializationFailed) -> NoReturn:
    """The object exists but is not ready: the engine saves it, and its reasons, with the error."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.saved.identifier,
        properties=encode(error.saved.outputs),
        inputs=encode(error.saved.inputs),
        reasons=error.reasons,
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    _abort(context, str(error))


class KubernetesProvider(ResourceProviderServicer):
    """One provider of one operation. Requests come in parallel."""

    def __init__(self, engine_address: str) -> None:
        self._diagnostics = Diagnostics(engine_address)
        self._session: Session | None = None

    @property
    def _open(self) -> Session:
        if self._session is None:
            raise OperationFailed("the engine has not configured the provider")
        return self._session

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=False,
            accept_outputs=False,
            supports_autonaming_configuration=True,
        )

    def Attach(self, request: Any, context: Any) -> Any:
        self._diagnostics = Diagnostics(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema=f'{{"name": "kubernetes", "version": "{VERSION}"}}')

    def GetMappings(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetMappingsResponse()

    def GetMapping(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetMappingResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        if self._session is not None:
            self._session.cancelled.set()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        with _errors(context):
            found = provider_settings.refusals(reveal(decode(request.news)))
            failures = [
                provider_pb2.CheckFailure(property=entry.argument, reason=entry.reason) for entry in found
            ]
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        with _errors(context):
            old, new = reveal(decode(request.olds)), reveal(decode(request.news))
            changed = [
                name for name in {**old, **new} if old.get(name) != new.get(name) or new.get(name) is UNKNOWN
            ]
            if not changed:
                return _Diff(changes=_Diff.DIFF_NONE)
            replaces = provider_settings.replacing_arguments(old, new)
            return _Diff(changes=_Diff.DIFF_SOME, diffs=changed, replaces=replaces)

    def Configure(self, request: Any, context: Any) -> Any:
        with _errors(context):
            settings = provider_settings.from_variables(dict(request.variables))
            self._session = Session.open(settings, self._diagnostics)
            self._diagnostics.info(STAND_IN)
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
            )

    def Check(self, request: Any, context: Any) -> Any:
        with _errors(context):
            proposal = None
            if request.HasField("autonaming"):
                options = request.autonaming
                proposal = Proposal(options.proposed_name, _MODES[options.mode])
            checked = check(
                self._open,
                Registered.of(request.urn),
                decode(request.news),
                decode(request.olds),
                Naming(request.randomSeed, proposal),
            )
            failures = [provider_pb2.CheckFailure(reason=reason) for reason in checked.failures]
            return provider_pb2.CheckResponse(inputs=encode(checked.inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        with _errors(context):
            planned = diff(self._open, decode(request.olds), decode(request.news), request.ignoreChanges)
            detailed = {
                format_path(difference.path): _Kind(
                    kind=_KINDS[difference.change, difference in planned.replacing],
                    inputDiff=difference.change is Change.DELETE,
                )
                for difference in planned.differences
            }
            return _Diff(
                changes=_Diff.DIFF_SOME if planned.differences else _Diff.DIFF_NONE,
                replaces=[format_path(difference.path) for difference in planned.replacing],
                deleteBeforeReplace=planned.delete_first,
                detailedDiff=detailed,
                hasDetailedDiff=True,
            )

    def Create(self, request: Any, context: Any) -> Any:
        with _errors(context):
            resource, properties = Registered.of(request.urn), decode(request.properties)
            if request.preview:
                outputs = preview_create(self._open, properties)
                return provider_pb2.CreateResponse(properties=encode(outputs))
            saved = create(self._open, resource, properties, request.timeout)
            return provider_pb2.CreateResponse(id=saved.identifier, properties=encode(saved.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        with _errors(context):
            outputs, inputs = decode(request.properties), decode(request.inputs)
            saved = read(self._open, Registered.of(request.urn), request.id, outputs, inputs)
            if saved is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=request.id, properties=encode(saved.outputs), inputs=encode(saved.inputs)
            )

    def Update(self, request: Any, context: Any) -> Any:
        with _errors(context):
            resource, ignored = Registered.of(request.urn), request.ignoreChanges
            olds, news = decode(request.olds), decode(request.news)
            if request.preview:
                outputs = preview_update(self._open, olds, news, ignored)
            else:
                outputs = update(self._open, resource, olds, news, ignored, request.timeout).outputs
            return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        with _errors(context):
            resource, outputs = Registered.of(request.urn), decode(request.properties)
            delete(self._open, resource, request.id, outputs, request.timeout)
            return empty_pb2.Empty()

    def Construct(self, request: Any, context: Any) -> Any:
        _abort(context, _UNSUPPORTED.format(what=f"component {request.type}"))

    def Invoke(self, request: Any, context: Any) -> Any:
        _abort(context, _UNSUPPORTED.format(what=f"function {request.tok}"))

    def Call(self, request: Any, context: Any) -> Any:
        _abort(context, _UNSUPPORTED.format(what=f"method {request.tok}"))

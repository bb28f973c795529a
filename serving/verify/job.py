"""The Job that proves the wiring at the end of every update: Pulumi waits for it, and fails if it does."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster
from infra.pod_security import container_security_context, pod_security_context
from serving.engines import engine_of
from serving.failed_jobs import pod_failure_policy
from serving.images.pinned import image
from serving.job_program import JobProgram, fingerprint
from serving.names import (
    GATEWAY,
    GATEWAY_NAMESPACE,
    INFERENCE_NAMESPACE,
    labels,
    selector,
    service_host,
)
from serving.replica import Replica
from serving.scaling import external_metric
from serving.signals import series
from serving.verify.verifier.settings import Model, Service, Settings, Trigger, variables
from sizing.models.task import Task

core = k8s.core.v1

PROGRAM = JobProgram(Path(__file__).parent / "verifier", "/verify")
TOKEN_FOLDER = "/verify-token"
TOKEN_KEY = "token"
UID = 1000

PROPAGATION_SECONDS = 120
"""How long a failing check is repeated: a changed ConfigMap reaches a running pod within 90 s."""

DEADLINE_SECONDS = 900
"""When a hanging Job is ended, besides the time to wake models: pulling its image, then every check."""


@dataclass(frozen=True)
class VerifiedModel:
    """A model to ask, and the autoscaling to look at.

    asked_as: what clients send as `model`; a canary's is that of its model. task: what it is asked for.
    tool_parser: by which its engine finds calls of tools; None if it is not to be asked with a tool.
    minimum: replicas at least; only with 0 may it sleep. triggers: signals that its autoscaler reads, in its
    order. engine_series: what the signals are made from. when_asleep: whether a model with no replica is
    reported or woken. startup_seconds: how long waking may take. listed_at: where its engine says what it
    serves; None for one that refuses a name that it does not serve.
    """

    name: str
    asked_as: str
    task: Task
    tool_parser: str | None
    minimum: int
    triggers: Sequence[str]
    engine_series: Sequence[str]
    when_asleep: Literal["report", "wake"]
    startup_seconds: int
    listed_at: str | None = None


LEAST_CONTEXT_WITH_TOOLS = 1024
"""Tokens of max_model_len from which on a model is asked with a tool: chat templates describe tools in some
400 tokens at most, and a model whose context is shorter would rightly refuse."""


def verified_tool_parser(replica: Replica) -> str | None:
    """The parser with which the verification asks this replica's model for a tool, if it does."""
    return replica.chat.tools if replica.max_model_len >= LEAST_CONTEXT_WITH_TOOLS else None


def listed_at(replica: Replica) -> str | None:
    """Where the engine of this replica says what it serves, unless asking for the model proves it."""
    engine = engine_of(replica.engine)
    host = service_host(replica.name, INFERENCE_NAMESPACE)
    return None if engine.checks_names else f"http://{host}:{engine.upstream.port}/v1/models"


@dataclass
class VerificationArgs:
    """cluster: where it runs. models: what is verified of each model.

    token: gives what it shows to the gateway, for every model; called when all that it waits for is there.
    configuration: everything that was rendered. The Job runs again only when some of it has changed.
    """

    cluster: Cluster
    models: Sequence[VerifiedModel]
    token: Callable[[], str]
    configuration: Sequence[str]


class Verification(pulumi.ComponentResource):
    """Asks every model through the gateway, and asks for what must be refused."""

    def __init__(self, name: str, args: VerificationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:serving:Verification", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        run = run_name(args.configuration, PROGRAM.files)
        shipped = core.ConfigMap(
            f"{name}-program", metadata=_metadata(run), data=dict(PROGRAM.files), opts=child
        )
        # The program is put in place after everything that this component depends on.
        token = shipped.id.apply(lambda _: base64.b64encode(args.token().encode()).decode())
        core.Secret(
            # One resource for each run: what an ignored field holds would survive even a replacement.
            f"{name}-token-{run.removeprefix('verify-')}",
            metadata=_metadata(run),
            immutable=True,
            data={TOKEN_KEY: pulumi.Output.secret(token)},
            # Every update brings another token. Only a new run of the Job needs it.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["data"])),
        )
        core.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata("verify"),
            automount_service_account_token=False,
            opts=child,
        )
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata=_metadata(
                run,
                {
                    "pulumi.com/timeoutSeconds": str(_deadline_seconds(args.models) + 60),
                    # A failed run is replaced by the next update, even if nothing has changed since.
                    "pulumi.com/replaceUnready": "true",
                },
            ),
            spec=job_spec(args, run),
            opts=child,
        )
        self.register_outputs({})


def run_name(configuration: Sequence[str], program: Mapping[str, str]) -> str:
    """Name of one run: another configuration or another file of the program is another run."""
    return f"verify-{fingerprint([list(configuration), dict(program)])}"


def deadline_seconds(waking_seconds: Iterable[int]) -> int:
    """When a hanging Job is ended that wakes models, each of which may take so long."""
    return DEADLINE_SECONDS + sum(waking_seconds)


def _deadline_seconds(models: Sequence[VerifiedModel]) -> int:
    return deadline_seconds(model.startup_seconds for model in models if model.when_asleep == "wake")


def job_spec(args: VerificationArgs, run: str) -> k8s.batch.v1.JobSpecArgs:
    """Spec of the Job. run: name of the ConfigMap with its program and of the Secret with its token."""
    return k8s.batch.v1.JobSpecArgs(
        # A check that fails is final: the program has repeated it. Only a lost pod is started again.
        backoff_limit=2,
        pod_failure_policy=pod_failure_policy("verify"),
        active_deadline_seconds=_deadline_seconds(args.models),
        template=core.PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=labels("verify", component="verification")),
            spec=core.PodSpecArgs(
                restart_policy="Never",
                service_account_name="verify",
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pod_security_context(UID),
                node_selector=args.cluster.system_node_selector,
                containers=[_container(args)],
                volumes=[
                    PROGRAM.volume(run),
                    core.VolumeArgs(
                        name="token",
                        secret=core.SecretVolumeSourceArgs(secret_name=run, default_mode=0o440),
                    ),
                ],
            ),
        ),
    )


def _container(args: VerificationArgs) -> k8s.core.v1.ContainerArgs:
    settings = Settings(
        gateway=f"http://{service_host(GATEWAY, GATEWAY_NAMESPACE)}",
        service=_service(GATEWAY, GATEWAY_NAMESPACE),
        prometheus=args.cluster.prometheus.url,
        models=tuple(_model(model) for model in args.models),
        token_file=f"{TOKEN_FOLDER}/{TOKEN_KEY}",
        seconds=PROPAGATION_SECONDS,
    )
    environment = {**variables(settings), "PYTHONDONTWRITEBYTECODE": "1"}
    return core.ContainerArgs(
        name="verify",
        image=image("python").reference,
        command=PROGRAM.command,
        working_dir=PROGRAM.working_folder,
        env=[core.EnvVarArgs(name=key, value=value) for key, value in environment.items()],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "128Mi"}
        ),
        volume_mounts=[
            PROGRAM.mount(),
            core.VolumeMountArgs(name="token", mount_path=TOKEN_FOLDER, read_only=True),
        ],
        security_context=container_security_context(),
        # What the program prints last is the reason, and reaches whoever runs the update.
        termination_message_policy="FallbackToLogsOnError",
    )


def _model(model: VerifiedModel) -> Model:
    """A model as the program knows it: its Service, its autoscaler, and what each trigger reads."""
    return Model(
        name=model.name,
        asked_as=model.asked_as,
        task=model.task,
        tool_parser=model.tool_parser,
        service=_service(model.name, INFERENCE_NAMESPACE),
        minimum=model.minimum,
        when_asleep=model.when_asleep,
        startup_seconds=model.startup_seconds,
        listed_at=model.listed_at,
        triggers=tuple(
            Trigger(signal=signal, query=series(signal, model.name), metric=external_metric(index))
            for index, signal in enumerate(model.triggers)
        ),
        engine_series=tuple(model.engine_series),
    )


def _service(name: str, namespace: str) -> Service:
    """A Service as the program's messages name it, from the same source as the Service itself."""
    return Service(name, namespace, ",".join(f"{key}={value}" for key, value in selector(name).items()))


def _metadata(name: str, annotations: dict[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name,
        namespace=GATEWAY_NAMESPACE,
        labels=labels("verify", component="verification"),
        annotations=annotations,
    )

"""The Job that proves the wiring at the end of every update: Pulumi waits for it, and fails if it does."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from dashboards.signals import series
from infra.cluster import Cluster
from infra.pod_security import container_security_context, pod_security_context
from serving.failed_jobs import pod_failure_policy
from serving.images import image
from serving.names import (
    GATEWAY,
    GATEWAY_NAMESPACE,
    INFERENCE_NAMESPACE,
    labels,
    selector,
    service_host,
)
from serving.scaling import external_metric
from serving.served import Task

core = k8s.core.v1

SCRIPT = Path(__file__).parent / "verify.py"
FOLDER = "/verify"
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
    minimum: replicas at least; only with 0 may it sleep. triggers: signals that its autoscaler reads, in its
    order. engine_series: what the signals are made from. when_asleep: whether a model with no replica is
    reported or woken. startup_seconds: how long waking may take.
    """

    name: str
    asked_as: str
    task: Task
    minimum: int
    triggers: Sequence[str]
    engine_series: Sequence[str]
    when_asleep: Literal["report", "wake"]
    startup_seconds: int


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
        script = SCRIPT.read_text(encoding="utf-8")
        run = f"verify-{fingerprint(args.configuration, script)}"
        shown = core.ConfigMap(
            f"{name}-script", metadata=_metadata(run), data={"verify.py": script}, opts=child
        )
        # The script is put in place after everything that this component depends on.
        token = shown.id.apply(lambda _: base64.b64encode(args.token().encode()).decode())
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


def fingerprint(configuration: Sequence[str], script: str) -> str:
    """Ten hexadecimal digits that change with the configuration or with what is checked."""
    return hashlib.sha256(json.dumps([*configuration, script]).encode()).hexdigest()[:10]


def deadline_seconds(waking_seconds: Iterable[int]) -> int:
    """When a hanging Job is ended that wakes models, each of which may take so long."""
    return DEADLINE_SECONDS + sum(waking_seconds)


def _deadline_seconds(models: Sequence[VerifiedModel]) -> int:
    return deadline_seconds(model.startup_seconds for model in models if model.when_asleep == "wake")


def job_spec(args: VerificationArgs, run: str) -> k8s.batch.v1.JobSpecArgs:
    """Spec of the Job. run: name of the ConfigMap with its script and of the Secret with its token."""
    return k8s.batch.v1.JobSpecArgs(
        # A check that fails is final: the script has repeated it. Only a lost pod is started again.
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
                    core.VolumeArgs(name="script", config_map=core.ConfigMapVolumeSourceArgs(name=run)),
                    core.VolumeArgs(
                        name="token",
                        secret=core.SecretVolumeSourceArgs(secret_name=run, default_mode=0o440),
                    ),
                ],
            ),
        ),
    )


def _container(args: VerificationArgs) -> k8s.core.v1.ContainerArgs:
    environment = {
        "VERIFY_GATEWAY": f"http://{service_host(GATEWAY, GATEWAY_NAMESPACE)}",
        "VERIFY_SERVICE": json.dumps(_target(GATEWAY, GATEWAY_NAMESPACE)),
        "VERIFY_PROMETHEUS": args.cluster.prometheus.url,
        "VERIFY_MODELS": json.dumps([_model(model) for model in args.models]),
        "VERIFY_SECONDS": str(PROPAGATION_SECONDS),
        "VERIFY_TOKEN_FILE": f"{TOKEN_FOLDER}/{TOKEN_KEY}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return core.ContainerArgs(
        name="verify",
        image=image("python").reference,
        command=["python", f"{FOLDER}/verify.py"],
        env=[core.EnvVarArgs(name=key, value=value) for key, value in environment.items()],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "128Mi"}
        ),
        volume_mounts=[
            core.VolumeMountArgs(name="script", mount_path=FOLDER, read_only=True),
            core.VolumeMountArgs(name="token", mount_path=TOKEN_FOLDER, read_only=True),
        ],
        security_context=container_security_context(),
        # What the script prints last is the reason, and reaches whoever runs the update.
        termination_message_policy="FallbackToLogsOnError",
    )


def _model(model: VerifiedModel) -> dict[str, object]:
    """A model as the script knows it: its Service, its autoscaler, and what each trigger reads."""
    return {
        "name": model.name,
        "asked_as": model.asked_as,
        "task": model.task,
        **_target(model.name, INFERENCE_NAMESPACE),
        "minimum": model.minimum,
        "when_asleep": model.when_asleep,
        "startup_seconds": model.startup_seconds,
        "triggers": [
            {"signal": signal, "query": series(signal, model.name), "metric": external_metric(index)}
            for index, signal in enumerate(model.triggers)
        ],
        "engine_series": list(model.engine_series),
    }


def _target(name: str, namespace: str) -> dict[str, str]:
    """A Service as the script's messages name it, from the same source as the Service itself."""
    pairs = ",".join(f"{key}={value}" for key, value in selector(name).items())
    return {"service": name, "namespace": namespace, "selector": pairs}


def _metadata(name: str, annotations: dict[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name,
        namespace=GATEWAY_NAMESPACE,
        labels=labels("verify", component="verification"),
        annotations=annotations,
    )

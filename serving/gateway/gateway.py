"""The gateway on a cluster: Envoy, its configuration, and the Service that clients reach."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.cluster import Cluster
from infra.pod_security import container_security_context, pod_security_context
from serving.gateway.authentication import Authentication
from serving.gateway.bootstrap import bootstrap
from serving.gateway.documents import BOOTSTRAP_FOLDER, CONFIG_FOLDER, to_yaml
from serving.gateway.listeners import ADMIN_PORT, HTTP_PORT, HTTPS_PORT, METRICS_PORT
from serving.gateway.memory import MEMORY_MIB, WORKER_THREADS
from serving.gateway.rate_limit import RateLimits
from serving.gateway.served import ServedModel
from serving.gateway.tls import CERTIFICATE_FOLDER
from serving.gateway.watched import watched_documents
from serving.images.pinned import image
from serving.names import (
    GATEWAY,
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    HTTP_PORT_NAME,
    HTTPS_PORT_NAME,
    METRICS_PORT_NAME,
    labels,
    selector,
    service_host,
)

core = k8s.core.v1

UID = 101
"""User `envoy` of the image."""

DRAIN_FOLDER = "/etc/envoy/drain"
DRAIN_SCRIPT = Path(__file__).parent / "data" / "drain.sh"

DRAIN_MINIMUM_SECONDS = 10
"""How long a leaving pod still takes requests: load balancers need a few seconds to drop it."""

SHUTDOWN_MARGIN_SECONDS = 10


@dataclass
class GatewayArgs:
    """cluster: where it runs. models: those behind it. replicas: gateway pods.

    max_request_bytes: largest request body; a longer one is refused with 413.
    authentication: whose tokens open it. rate_limits: how often each team may ask.
    drain_seconds: how long streams in flight may go on when a gateway pod leaves.
    tls_secret: Secret of the type kubernetes.io/tls in the gateway's namespace, with which its pods end TLS;
    None where nobody does, or the load balancer before them.
    allowed_origins: web pages that may ask from a browser, such as https://app.example.com.
    """

    cluster: Cluster
    models: Sequence[ServedModel]
    replicas: int
    max_request_bytes: int
    drain_seconds: int
    authentication: Authentication
    rate_limits: RateLimits
    tls_secret: str | None = None
    allowed_origins: tuple[str, ...] = ()


class Gateway(pulumi.ComponentResource):
    """The OpenAI-compatible entrance to all models."""

    url: pulumi.Output[str]
    files: Mapping[str, Mapping[str, str]]
    """What config_maps gave, as registered: with many models it takes long to render."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:serving:Gateway", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        self.files = config_maps(args)
        for suffix, files in self.files.items():
            core.ConfigMap(
                f"{name}-{suffix}", metadata=_metadata(f"{GATEWAY}-{suffix}"), data=files, opts=child
            )
        core.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata(GATEWAY),
            automount_service_account_token=False,
            opts=child,
        )
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-disruption-budget",
            metadata=_metadata(GATEWAY),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=LabelSelectorArgs(match_labels=selector(GATEWAY)),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=child,
        )
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=_metadata(GATEWAY),
            spec=deployment_spec(args, self.files["bootstrap"]),
            opts=child,
        )
        # After the pods, and so on the way out before them: no client is sent to a pod that is gone.
        after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[deployment]))
        for service_name, spec in services(args).items():
            outermost = core.Service(
                f"{name}-service" if service_name == GATEWAY else f"{name}-public-service",
                metadata=_metadata(
                    service_name, args.cluster.entrance.annotations if spec.type != "ClusterIP" else None
                ),
                spec=spec,
                opts=after,
            )
            self.url = outermost.status.apply(lambda status: address(status, args.cluster.entrance.hostname))
        self.register_outputs({"url": self.url})


def address(status: k8s.core.v1.outputs.ServiceStatus | None, hostname: str | None = None) -> str:
    """Where clients find the gateway: the hostname of its certificate, its load balancer, or its name inside
    the cluster if it has neither."""
    if hostname is not None:
        return f"https://{hostname}"
    ingress = status.load_balancer.ingress if status and status.load_balancer else None
    if not ingress:
        return f"http://{service_host(GATEWAY, GATEWAY_NAMESPACE)}"
    host = ingress[0].hostname or ingress[0].ip
    # Clouds report no port: theirs is the Service's own. The local stand-in has to choose a free one.
    port = ingress[0].ports[0].port if ingress[0].ports else GATEWAY_PORT
    return f"http://{host}:{port}"


def services(args: GatewayArgs) -> Mapping[str, core.ServiceSpecArgs]:
    """Specs of the Services, by name; the last is the one that clients outside reach.

    With TLS the load balancer leads to nothing but that, and the Service inside is the verify Job's.
    """
    entrance = args.cluster.entrance
    inside = core.ServicePortArgs(name=HTTP_PORT_NAME, port=GATEWAY_PORT, target_port=HTTP_PORT_NAME)
    if args.tls_secret is None:
        return {GATEWAY: _service(entrance.service_type, inside)}
    outside = core.ServicePortArgs(name=HTTPS_PORT_NAME, port=443, target_port=HTTPS_PORT_NAME)
    return {
        GATEWAY: _service("ClusterIP", inside),
        f"{GATEWAY}-public": _service(entrance.service_type, outside),
    }


def _service(kind: str, port: core.ServicePortArgs) -> core.ServiceSpecArgs:
    return core.ServiceSpecArgs(type=kind, selector=selector(GATEWAY), ports=[port])


def config_maps(args: GatewayArgs) -> Mapping[str, Mapping[str, str]]:
    """Files of each ConfigMap, by the end of its name."""
    watched = watched_documents(
        args.models,
        args.max_request_bytes,
        args.authentication,
        args.rate_limits,
        replicas=args.replicas,
        tls=args.tls_secret is not None,
        allowed_origins=args.allowed_origins,
    )
    return {
        "bootstrap": {"envoy.yaml": to_yaml(bootstrap())},
        "config": {name: to_yaml(document) for name, document in watched.items()},
        "drain": {"drain.sh": DRAIN_SCRIPT.read_text(encoding="utf-8")},
    }


def deployment_spec(args: GatewayArgs, starts_with: Mapping[str, str]) -> k8s.apps.v1.DeploymentSpecArgs:
    """Spec of the Deployment that runs Envoy. starts_with: the files that it reads once."""
    grace = DRAIN_MINIMUM_SECONDS + args.drain_seconds + SHUTDOWN_MARGIN_SECONDS
    # Envoy reads the bootstrap once, so a change of it has to roll the pods. The rest is watched: adding a
    # model restarts nothing.
    checksum = hashlib.sha256("".join(starts_with.values()).encode()).hexdigest()
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=args.replicas,
        selector=LabelSelectorArgs(match_labels=selector(GATEWAY)),
        strategy=k8s.apps.v1.DeploymentStrategyArgs(
            type="RollingUpdate",
            rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
        ),
        template=core.PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels=labels(GATEWAY, component="gateway"),
                annotations={"llm-platform/bootstrap-checksum": checksum},
            ),
            spec=core.PodSpecArgs(
                service_account_name=GATEWAY,
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pod_security_context(UID),
                termination_grace_period_seconds=grace,
                node_selector=args.cluster.system_node_selector,
                topology_spread_constraints=[
                    core.TopologySpreadConstraintArgs(
                        topology_key="kubernetes.io/hostname",
                        max_skew=1,
                        when_unsatisfiable="ScheduleAnyway",
                        label_selector=LabelSelectorArgs(match_labels=selector(GATEWAY)),
                    )
                ],
                containers=[_container(args)],
                volumes=[
                    _config_volume("bootstrap"),
                    _config_volume("config"),
                    _config_volume("drain"),
                    *_certificate_volumes(args),
                ],
            ),
        ),
    )


def _container(args: GatewayArgs) -> k8s.core.v1.ContainerArgs:
    ready = core.HTTPGetActionArgs(path="/ready", port=METRICS_PORT_NAME)
    return core.ContainerArgs(
        name="envoy",
        image=image("envoy").reference,
        args=[
            "-c",
            f"{BOOTSTRAP_FOLDER}/envoy.yaml",
            # A pod is replaced, never restarted in place; this also frees it from shared memory.
            "--disable-hot-restart",
            "--log-level",
            "warning",
            # As many threads as may run at once: Envoy's default is one for each core of the machine.
            "--concurrency",
            str(WORKER_THREADS),
            # Connections are told to close within this time once the pod, or a changed listener, drains.
            "--drain-time-s",
            str(args.drain_seconds),
        ],
        env=[
            core.EnvVarArgs(name="ENVOY_ADMIN", value=f"127.0.0.1:{ADMIN_PORT}"),
            core.EnvVarArgs(name="DRAIN_MINIMUM_SECONDS", value=str(DRAIN_MINIMUM_SECONDS)),
            core.EnvVarArgs(
                name="DRAIN_MAXIMUM_SECONDS", value=str(DRAIN_MINIMUM_SECONDS + args.drain_seconds)
            ),
        ],
        ports=[
            core.ContainerPortArgs(name=HTTP_PORT_NAME, container_port=HTTP_PORT),
            *(
                []
                if args.tls_secret is None
                else [core.ContainerPortArgs(name=HTTPS_PORT_NAME, container_port=HTTPS_PORT)]
            ),
            core.ContainerPortArgs(name=METRICS_PORT_NAME, container_port=METRICS_PORT),
        ],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "500m", "memory": f"{MEMORY_MIB}Mi"}, limits={"memory": f"{MEMORY_MIB}Mi"}
        ),
        volume_mounts=[
            core.VolumeMountArgs(name="bootstrap", mount_path=BOOTSTRAP_FOLDER, read_only=True),
            core.VolumeMountArgs(name="config", mount_path=CONFIG_FOLDER, read_only=True),
            core.VolumeMountArgs(name="drain", mount_path=DRAIN_FOLDER, read_only=True),
            *(
                core.VolumeMountArgs(name=volume.name, mount_path=CERTIFICATE_FOLDER, read_only=True)
                for volume in _certificate_volumes(args)
            ),
        ],
        security_context=container_security_context(),
        startup_probe=core.ProbeArgs(http_get=ready, period_seconds=1, failure_threshold=60),
        readiness_probe=core.ProbeArgs(http_get=ready, period_seconds=5, failure_threshold=2),
        # Not /ready, which a draining pod fails on purpose.
        liveness_probe=core.ProbeArgs(
            tcp_socket=core.TCPSocketActionArgs(port=METRICS_PORT_NAME),
            period_seconds=10,
            failure_threshold=3,
        ),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(
                exec_=core.ExecActionArgs(command=["bash", f"{DRAIN_FOLDER}/drain.sh"])
            )
        ),
        termination_message_policy="FallbackToLogsOnError",
    )


def _certificate_volumes(args: GatewayArgs) -> list[core.VolumeArgs]:
    """The Secret with the certificate, if there is one: kubelet swaps its files when it is renewed."""
    if args.tls_secret is None:
        return []
    secret = core.SecretVolumeSourceArgs(secret_name=args.tls_secret, default_mode=0o440)
    return [core.VolumeArgs(name="certificate", secret=secret)]


def _config_volume(suffix: str) -> k8s.core.v1.VolumeArgs:
    return core.VolumeArgs(name=suffix, config_map=core.ConfigMapVolumeSourceArgs(name=f"{GATEWAY}-{suffix}"))


def _metadata(name: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name,
        namespace=GATEWAY_NAMESPACE,
        labels=labels(GATEWAY, component="gateway"),
        annotations=annotations or None,
    )

"""The gateway in front of the models, and the Job that proves the whole after an update."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi

from dashboards.recording_rules import engine_series, rule_group
from infra.cluster import Cluster
from serving.engines import engine_of
from serving.gateway.authentication import Authentication
from serving.gateway.gateway import Gateway, GatewayArgs
from serving.gateway.memory import MIB
from serving.gateway.rate_limit import Rate, RateLimits
from serving.images.pinned import IMAGES
from serving.names import GATEWAY_NAMESPACE
from serving.scaling import trigger_signals
from serving.verify.job import Verification, VerificationArgs, VerifiedModel, listed_at, verified_tool_parser
from serving.workload import rollout_seconds
from stacks import config
from stacks.plan import ModelPlan, Plan
from stacks.program.cluster import Foundation
from stacks.program.gateway_tokens import GatewayTokens


def register_gateway(
    plan: Plan, stack: config.Stack, foundation: Foundation, tokens: GatewayTokens
) -> Gateway:
    """The gateway in front of the models of `plan`, with the limits and rights of `stack`."""
    section = stack.gateway
    return Gateway(
        "gateway",
        GatewayArgs(
            cluster=foundation.cluster,
            models=plan.served,
            replicas=section.replicas,
            max_request_bytes=section.max_request_mib * MIB,
            drain_seconds=max(model.replica.drain_seconds for model in plan.models),
            authentication=Authentication(
                tokens.public_keys, pulumi.get_stack(), tuple(section.tokens.revoked)
            ),
            rate_limits=rate_limits(section.rate_limit),
            tls_secret=foundation.tls_secret,
            allowed_origins=() if section.cors is None else section.cors.allowed_origins,
        ),
        pulumi.ResourceOptions(depends_on=[foundation.namespaces[GATEWAY_NAMESPACE]]),
    )


def register_verification(
    plan: Plan,
    stack: config.Stack,
    cluster: Cluster,
    tokens: GatewayTokens,
    gateway: Gateway,
    models: Sequence[pulumi.Resource],
) -> None:
    """The Job that asks every model, once `models` and the gateway stand."""
    Verification(
        "verify",
        VerificationArgs(
            cluster=cluster,
            models=[_verified(model) for model in plan.models],
            token=tokens.verification,
            configuration=_configuration(plan, stack, cluster.prometheus.interval_seconds, gateway.files),
        ),
        pulumi.ResourceOptions(depends_on=[*models, gateway]),
    )


def rate_limits(section: config.RateLimit) -> RateLimits:
    return RateLimits(
        common=Rate(section.requests_per_second, section.burst),
        teams={team: Rate(rate.requests_per_second, rate.burst) for team, rate in section.teams.items()},
    )


def _verified(model: ModelPlan) -> VerifiedModel:
    return VerifiedModel(
        name=model.name,
        asked_as=model.replica.served_names[0],
        task=model.replica.task,
        tool_parser=verified_tool_parser(model.replica),
        minimum=model.scaling.minimum,
        triggers=trigger_signals(model.scaling),
        engine_series=engine_series(model.recorded),
        when_asleep="wake" if model.is_woken else "report",
        startup_seconds=rollout_seconds(model.replica),
        listed_at=listed_at(model.replica),
    )


def _configuration(
    plan: Plan,
    stack: config.Stack,
    interval_seconds: int,
    gateway_files: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Everything whose change must be proved again."""
    return [
        # Where the cluster is reached and what it costs are no part of it; another cluster replaces the Job
        # anyway.
        config.effective_json(
            stack, [("cluster",), ("budget",), ("price_overrides",), ("gateway", "tokens", "public_keys")]
        ),
        *(
            argument
            for model in plan.models
            for argument in engine_of(model.replica.engine).arguments(model.replica)
        ),
        *(json.dumps(rule_group(model.recorded, interval_seconds)) for model in plan.models),
        *(pinned.reference for pinned in IMAGES.values()),
        *(text for files in gateway_files.values() for text in files.values()),
    ]

"""An environment from its stack file: the plan is made and said, then registered as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pulumi

from infra.cluster import Cluster
from serving.gateway.gateway import Gateway
from serving.verify.job import deadline_seconds
from serving.workload import rollout_seconds
from stacks import config
from stacks.plan import Plan, make_plan
from stacks.plan.judgement import refusals, warnings
from stacks.plan.text import outline
from stacks.problems import StackError
from stacks.program.cluster import foundation, register_local
from stacks.program.gateway import register_gateway, register_verification
from stacks.program.gateway_tokens import gateway_tokens
from stacks.program.models import register_models
from stacks.program.preconditions import check_models, local_cluster


@dataclass(frozen=True)
class Platform:
    """What stands at the end: the plan that it follows, and the way in."""

    plan: Plan
    gateway: Gateway


def build(stack: config.Stack) -> Platform:
    """Registers everything that `stack` describes."""
    local = local_cluster(stack.cluster)
    return build_on(lambda: register_local(local), stack)


def build_on(make_cluster: Callable[[], Cluster], stack: config.Stack) -> Platform:
    """The same on the cluster that `make_cluster` registers, once nothing can be refused any more."""
    check_models(stack)
    plan = make_plan(stack)
    _say(plan)
    woken = [rollout_seconds(model.replica) for model in plan.models if model.is_woken]
    tokens = gateway_tokens(stack, deadline_seconds(woken))
    base = foundation(make_cluster(), plan, stack.gateway)
    models = register_models(plan, base)
    gateway = register_gateway(plan, stack, base, tokens)
    register_verification(plan, stack, base.cluster, tokens, gateway, models)
    return Platform(plan=plan, gateway=gateway)


def export(platform: Platform) -> None:
    """Stack outputs: where the gateway is, which models it serves, and the plan in outline."""
    pulumi.export("gateway_url", platform.gateway.url)
    pulumi.export("models", [model.name for model in platform.plan.served])
    pulumi.export("plan", outline(platform.plan))


def _say(plan: Plan) -> None:
    """Warns of what should be known, and ends where the plan must not become real.

    The figures are an output, which Pulumi shows once. Without a terminal it shows a message when it comes
    and again under Diagnostics, and its last line beside the stack: so there is one, and that line is short.
    """
    found = warnings(plan, date.today())
    if found:
        count = "1 warning" if len(found) == 1 else f"{len(found)} warnings"
        pulumi.log.warn("\n".join([*found, f"{count} on the plan: make plan STACK={pulumi.get_stack()}"]))
    problems = refusals(plan)
    if problems:
        raise pulumi.RunError(str(StackError(f"Pulumi.{pulumi.get_stack()}.yaml", problems)))

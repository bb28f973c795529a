"""A canary is one more Deployment, planned for its share of the load, with the names of its model."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stacks.config import Stack
from stacks.load import parse
from stacks.plan import make_plan
from stacks.plan.canary import deployed
from tests.stacks.environments import local_values

OTHER = "0123456789abcdef0123456789abcdef01234567"


def stack(weight: int | None, **changes: Any) -> Stack:
    values = local_values()
    values["node_pools"][0]["max_nodes"] = 20
    values["models"][0].update(changes)
    if weight is not None:
        values["models"][0]["canary"] = {"revision": OTHER, "weight": weight}
    return parse(values, origin="test")


def test_without_a_canary_there_is_one_deployment_a_model():
    assert [section.name for section in deployed(stack(None))] == ["chat", "chat-large"]


@given(weight=st.integers(0, 100), maximum=st.integers(2, 9))
def test_a_canary_is_planned_for_its_share(weight: int, maximum: int):
    plain, _, *_ = deployed(stack(None, replicas={"min": 1, "max": maximum}))
    model, canary, _ = deployed(stack(weight, replicas={"min": 1, "max": maximum}))
    assert (canary.name, canary.revision, canary.canary) == ("chat-canary", OTHER, None)
    assert 1 <= canary.replicas.min <= canary.replicas.max <= model.replicas.max
    assert canary.replicas.max >= maximum * weight / 100
    share = canary.expected_load.requests_per_second / model.expected_load.requests_per_second
    assert 0 < share <= max(weight, 1) / 100 + 1e-9
    # A rollback finds what it left.
    assert model.replicas == plain.replicas
    assert model.revision == plain.revision


def test_the_plan_pays_for_it():
    names = [model.name for model in make_plan(stack(20)).models]
    assert names == ["chat", "chat-canary", "chat-large"]
    without, with_canary = make_plan(stack(None)).usd_per_hour, make_plan(stack(20)).usd_per_hour
    assert with_canary.minimum > without.minimum
    assert with_canary.maximum > without.maximum


def test_its_engines_answer_to_the_names_of_its_model():
    plan = make_plan(stack(20, aliases=["gpt-4o-mini"]))
    names = {model.name: model.replica.served_names for model in plan.models}
    assert names["chat-canary"] == ("chat", "gpt-4o-mini")
    model = plan.served[0]
    assert model.canary is not None
    assert (model.canary.service, model.canary.weight) == ("chat-canary", 20)


def test_the_model_that_stands_in_answers_to_the_names_it_is_asked_by():
    plan = make_plan(stack(None, aliases=["gpt-4o-mini"], fallback="chat-large"))
    assert plan.models[1].replica.served_names == ("chat-large", "chat", "gpt-4o-mini")


def test_one_gateway_pod_holds_no_more_than_its_replicas_can():
    values = local_values()
    values["gateway"]["replicas"] = 3
    shared = make_plan(parse(values, origin="test")).served[0].max_in_flight
    alone = make_plan(stack(None)).served[0].max_in_flight
    assert alone / 3 < shared < alone

"""What the cluster must have for the gateway is asked before anything is planned."""

from __future__ import annotations

import pytest

from stacks.load import parse
from stacks.problems import StackError
from tests.stacks.environments import aws_values, changed

PUBLIC = {"hostname": "llm.example.com", "certificate": "llm"}

NOT_LOCAL = [
    (
        "gateway.public",
        PUBLIC,
        "gateway.public: llm.example.com is not possible: a local cluster cannot be reached from the "
        "internet. Remove gateway.public",
    ),
    (
        "gateway.backend",
        "inference_pool",
        "gateway.backend: inference_pool is not possible: a local cluster has no Gateway API inference "
        "gateway. Use envoy",
    ),
]


@pytest.mark.parametrize(("path", "value", "said"), NOT_LOCAL)
def test_what_a_local_cluster_has_no_part_for_is_refused_in_one_line(path: str, value: object, said: str):
    with pytest.raises(StackError) as refused:
        parse(changed(path, value), "test")
    assert [str(problem) for problem in refused.value.problems] == [said]


@pytest.mark.parametrize(("path", "value", "said"), NOT_LOCAL)
def test_another_cluster_may_have_it(path: str, value: object, said: str):
    stack = {**changed(path, value), "cluster": aws_values()["cluster"]}
    assert parse(stack, "test").cluster.provider == "aws"

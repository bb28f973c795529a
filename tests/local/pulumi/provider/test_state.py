from __future__ import annotations

from local.pulumi.provider import state
from local.pulumi.provider.values import Secret

INPUTS = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}
LIVE = {**INPUTS, "metadata": {"uid": "u"}}


def test_outputs_are_the_live_object_with_the_marks_that_the_official_plugin_reads():
    outputs = state.build(
        INPUTS, LIVE, secret_inputs={"data": {"a": Secret("1")}}, initial_api_version="v1", field_manager="m"
    )
    assert outputs == {
        **LIVE,
        "data": {"a": Secret("1")},
        "__inputs": {**INPUTS, "data": {"a": Secret("1")}},
        "__initialApiVersion": "v1",
        "__fieldManager": "m",
    }
    parsed = state.parse(outputs)
    assert (parsed.inputs, parsed.live) == (INPUTS, LIVE)
    assert (parsed.initial_api_version, parsed.field_manager) == ("v1", "m")


def test_a_state_without_marks_can_be_read():
    parsed = state.parse(LIVE)
    assert (parsed.inputs, parsed.live) == ({}, LIVE)
    assert parsed.field_manager is None

"""Scripts that share one filter run as they would alone, in their order; each has tests of its own."""

from __future__ import annotations

from typing import Any

import yaml

from serving.gateway.documents import to_yaml
from serving.gateway.listeners import listener_documents
from serving.gateway.lua import HOOKS, joined
from serving.gateway.request_body import FILTER
from serving.gateway.scripts import scripts_filter

BOTH = "local name = 1\nfunction envoy_on_request(handle) end\nfunction envoy_on_response(answer) end"
ANSWERS = "local name = 2\nfunction envoy_on_response(answer) end"


def test_hooks_call_the_scripts_in_their_order():
    text = joined(BOTH, ANSWERS)
    assert text.index("  envoy_on_response_1(handle)") < text.index("  envoy_on_response_2(handle)")
    assert text.count("  envoy_on_request_1(handle)") == 1
    assert "envoy_on_request_2" not in text


def test_there_is_no_hook_that_no_script_has():
    """Envoy skips a direction without a hook; an empty one would cost each request a coroutine."""
    assert "function envoy_on_request" not in joined(ANSWERS)


def test_each_scripts_names_are_its_own():
    """A script is the body of a function, and none of them is taken for what the line before calls."""
    text = joined(BOTH, ANSWERS)
    assert text.count(";(function()\n") == 2
    assert text.count("\nend)()") == 2


def test_body_and_answer_are_read_in_one_filter():
    plain: Any = yaml.safe_load(to_yaml(listener_documents(1024, memory_mib=64)))
    (chain,) = plain["resources"][0]["filter_chains"]
    names = [item["name"] for item in chain["filters"][0]["typed_config"]["http_filters"]]
    assert names.count(FILTER) == 1
    script = str(scripts_filter())
    for part in (*HOOKS, "setpause", "prompt_cache_key", "completion_tokens"):
        assert part in script

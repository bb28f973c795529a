"""Every mistake that a stack file can hold gives one clear line: path, value, what is allowed, what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.load import parse
from stacks.problems import StackError
from tests.stacks.environments import changed, local_values


def problems(values: dict[str, Any]) -> list[str]:
    with pytest.raises(StackError) as raised:
        parse(values, origin="Pulumi.test.yaml")
    first, *lines = str(raised.value).splitlines()
    assert first.startswith("Pulumi.test.yaml: ")
    assert first.endswith("nothing was changed")
    return [line.strip() for line in lines]


def only_problem(path: str, value: object) -> str:
    found = problems(changed(path, value))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "node_pools.0.acelerator",
            "x",
            ["node_pools[0].acelerator: unknown key", "did you mean accelerator?"],
        ),
        (
            "models.0.slo.ttft.secnds",
            1.0,
            ["models[0].slo.ttft.secnds: unknown key", "did you mean seconds?"],
        ),
        ("modles", [], ["modles: unknown key", "did you mean models?", "node_pools"]),
        (
            "node_pools.0.accelerator",
            "nvidia-l40",
            [
                'node_pools[0].accelerator: "nvidia-l40" is unknown',
                "did you mean nvidia-l4",
                "nvidia-h100-80gb",
            ],
        ),
        (
            "node_pools.0.machine_types",
            ["g6.3xlarge"],
            ['node_pools[0].machine_types[0]: "g6.3xlarge" is unknown', "nvidia-l4", "g6.xlarge"],
        ),
        (
            "node_pools.0.machine_types",
            ["g6.2xlarge", "g5.xlarge"],
            ['node_pools[0].machine_types[1]: "g5.xlarge" carries nvidia-a10g', "g6.xlarge"],
        ),
        (
            "node_pools.0.capacity",
            ["on-demnd"],
            ["node_pools[0].capacity[0]", "did you mean on-demand?", "spot"],
        ),
        ("node_pools.0.capacity", ["on-demand", "on-demand"], ["node_pools[0].capacity[1]", "already used"]),
        ("node_pools.0.capacity", [], ["node_pools[0].capacity: []", "must not be empty"]),
        ("node_pools.0.capacity", ["reserved"], ["node_pools[0].capacity", "on-demand", "spot"]),
        ("node_pools.0.min_nodes", 1, ["node_pools[0].min_nodes: 1", "replicas.min"]),
        ("node_pools.0.min_nodes", 9, ["node_pools[0].min_nodes: 9 is above max_nodes 6"]),
        (
            "node_pools.0.warm_nodes",
            6,
            ["node_pools[0].warm_nodes: 6 warm machines and the 1", "max_nodes 6", "to 7", "to 5"],
        ),
        ("node_pools.0.warm_nodes", -1, ["node_pools[0].warm_nodes: -1", "must be at least 0"]),
        (
            "node_pools.0.warm_capacity",
            "placeholder",
            ["node_pools[0].warm_capacity", "did you mean placeholder_pods?"],
        ),
        ("node_pools.0.max_nodes", 0, ["node_pools[0].max_nodes: 0", "must be at least 1"]),
        ("node_pools.0.max_nodes", 2, ["node_pools[0].max_nodes: 2", "chat 5", "5 x g6.2xlarge", "Raise"]),
        ("models.0.node_pool", "l5", ['models[0].node_pool: no pool is called "l5"', "did you mean l4?"]),
        (
            "models.0.tensor_parallel",
            2,
            ["models[0].tensor_parallel: 2 is more than the 1 GPU of", "add g6.12xlarge, which has 4"],
        ),
        ("models.0.replicas", {"min": 3, "max": 2}, ["models[0].replicas.min: 3 is above replicas.max 2"]),
        ("models.0.replicas.min", -1, ["models[0].replicas.min: -1", "must be at least 0", "may sleep"]),
        ("models.0.warm_replicas", 5, ["models[0].warm_replicas: 5", "replicas.max 5", "above 5"]),
        ("models.0.when_asleep", "wak", ["models[0].when_asleep", "did you mean wake?", "report"]),
        ("models.0.max_num_seqs", 0, ["models[0].max_num_seqs: 0", "follows from slo"]),
        ("models.0.sleep_after_seconds", 1, ["models[0].sleep_after_seconds: 1", "10 to 86400"]),
        (
            "models.0.slo.itl.seconds",
            0.02,
            ["models[0].slo.itl.seconds: 0.02 cannot be met", "1 x nvidia-l4", "0.032 s", "estimated"],
        ),
        (
            "models.0.slo.ttft.seconds",
            0.1,
            ["models[0].slo.ttft.seconds: 0.1 cannot be met", "1200 prompt_tokens", "0.21 s"],
        ),
        (
            "models.0.expected_load.requests_per_second",
            20,
            ["models[0].replicas.max: 5 replicas cannot serve expected_load", "17 replicas", "1.19 each"],
        ),
        ("models.0.replicas.max", True, ["models[0].replicas.max: true", "must be a whole number"]),
        ("models.0.replicas.max", "4", ['models[0].replicas.max: "4"', "must be a whole number"]),
        (
            "models.0.model",
            "Qwen/Qwen3-8b",
            ["models[0].model", "did you mean Qwen/Qwen3-8B?", "models.yaml"],
        ),
        ("models.0.max_model_len", 100_000, ["models[0].max_model_len: 100000", "at most 40960"]),
        ("models.0.max_model_len", 1024, ["models[0].max_model_len: 1024", "1200 prompt_tokens + 200"]),
        ("models.0.drain_seconds", 60, ["models[0].drain_seconds: 60 is shorter", "104 s", "at least 104"]),
        (
            "models.0.max_output_tokens",
            None,
            ["models[0].drain_seconds: 130", "max_model_len 16384", "at least 821", "set max_output_tokens"],
        ),
        ("models.0.max_output_tokens", 0, ["models[0].max_output_tokens: 0", "must be at least 1"]),
        ("models.0.engine", "vlm", ['models[0].engine: "vlm" is not allowed', "Valid: vllm"]),
        ("models.0.name", "Chat", ['models[0].name: "Chat"', "DNS label", "at most 40"]),
        ("models.0.name", "a" * 41, ["models[0].name", "DNS label"]),
        ("models.0.revision", "main", ['models[0].revision: "main"', "40 hexadecimal digits"]),
        ("models.1.name", "chat", ['models[1].name: "chat" is already used by models[0]']),
        ("models.0.slo.ttft.objective", 95, ["models[0].slo.ttft.objective: 95", "must be below 1"]),
        ("models.0.gpu_memory_utilization", 0.99, ["models[0].gpu_memory_utilization: 0.99", "0.95"]),
        ("models", {}, ["models: {}", "must be a list"]),
        ("models", [], ["models: []", "must not be empty"]),
        (
            "cluster.provider",
            "asw",
            ['cluster.provider: "asw" is not allowed', "did you mean aws?", "gcp, local"],
        ),
        ("gateway.max_request_mib", 0, ["gateway.max_request_mib: 0", "must be at least 1"]),
    ],
)
def test_one_mistake_is_one_line_that_says_what_to_do(path: str, value: object, expected: list[str]):
    line = only_problem(path, value)
    for part in expected:
        assert part in line


@pytest.mark.parametrize(
    ("path", "value", "wanted", "written"),
    [
        ("models.0.slo.ttft.seconds", "1.5", "float", "1.5"),
        ("models.0.slo.ttft.seconds", "2", "float", "2"),
        ("models.0.slo.ttft.seconds", "1e-1", "float", "1e-1"),
        ("models.0.slo.itl.objective", ".95", "float", ".95"),
        ("models.0.expected_load.requests_per_second", "0.5", "float", "0.5"),
        ("models.0.replicas.max", "4", "int", "4"),
        ("models.1.max_model_len", "32768", "int", "32768"),
        ("cluster.name", 7, "string", '"7"'),
        ("cluster.name", 1.5, "string", '"1.5"'),
        ("models.0.node_pool", True, "string", '"true"'),
    ],
)
def test_a_value_that_lost_its_type_on_the_way_says_how_to_write_it(
    path: str, value: object, wanted: str, written: str
):
    line = only_problem(path, value)
    assert f": write {written}" in line
    assert line.endswith(f"--path --type {wanted}`")
    # Over a text, `config set` alone would keep the quotes.
    assert ("`pulumi config rm --path` and then" in line) == (wanted != "string")


@pytest.mark.parametrize("value", ["fast", "", "1.5s", "0x10", "1_000", "NaN", [1], {"a": 1}, None])
@pytest.mark.parametrize("path", ["models.0.slo.ttft.seconds", "models.0.replicas.max"])
def test_a_value_that_is_not_a_number_gets_no_such_hint(path: str, value: object):
    assert "--type" not in only_problem(path, value)


@pytest.mark.parametrize(
    "path",
    ["models.0.model", "models.0.node_pool", "node_pools.0.accelerator", "node_pools.0.machine_types.0"],
)
@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a" * 300])
def test_a_value_with_line_breaks_or_without_end_is_one_line_all_the_same(path: str, value: str):
    with pytest.raises(StackError) as error:
        parse(changed(path, value), origin="test")
    assert all(len(str(problem).splitlines()) == 1 for problem in error.value.problems)
    assert len(str(error.value).splitlines()) == 1 + len(error.value.problems)


def test_tensor_parallel_must_divide_the_attention_heads():
    values = changed("node_pools.1.machine_types", ["g7e.24xlarge"])
    values["models"][1]["tensor_parallel"] = 3
    assert problems(values) == [
        "models[1].tensor_parallel: 3 does not divide the 64 attention heads of "
        "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic. Valid: 1, 2, 4"
    ]


def test_a_model_that_sleeps_has_no_hot_replicas():
    values = changed("models.0.replicas.min", 0)
    values["models"][0]["warm_replicas"] = 1
    (line,) = problems(values)
    assert line.startswith("models[0].warm_replicas: 1 hot replicas never sleep")


def test_weights_that_leave_no_room_for_a_request():
    values = changed("models.0.model", "Qwen/Qwen3-32B")
    values["models"][0]["quantization"] = "fp8"
    (line,) = problems(values)
    assert "models[0].tensor_parallel: 1 is not enough" in line
    assert "1 x nvidia-l4" in line


def test_duplicate_pool_names():
    values = local_values()
    values["node_pools"][1]["name"] = "l4"
    assert 'node_pools[1].name: "l4" is already used by node_pools[0]: choose another' in problems(values)


def test_a_missing_key_is_named_with_its_meaning():
    values = local_values()
    del values["models"][0]["slo"]["availability"]
    meaning = "share of requests answered, above 0 and below 1"
    assert problems(values) == [f"models[0].slo.availability: required key is missing ({meaning})"]


def test_all_mistakes_are_listed_at_once():
    values = changed("models.0.node_pool", "l5")
    values["node_pools"][1]["accelerator"] = "nvidia-b2000"
    assert len(problems(values)) == 2


KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=30)


@given(
    key=KEYS,
    section=st.sampled_from(["", "cluster", "node_pools.0", "models.1", "models.0.slo.itl", "gateway"]),
)
def test_any_unknown_key_is_refused_with_its_path(key: str, section: str):
    path = f"{section}.{key}" if section else key
    target: Any = local_values()
    for step in section.split(".") if section else []:
        target = target[int(step) if step.isdigit() else step]
    if key in target or key in {"min_nodes", "quantization", "gpu_memory_utilization"}:
        return
    shown = path.replace(".0", "[0]").replace(".1", "[1]")
    assert only_problem(path, 1).startswith(f"{shown}: unknown key: ")


@given(name=st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True))
def test_any_dns_label_is_a_valid_model_name(name: str):
    values = changed("models.0.name", name)
    if name == values["models"][1]["name"]:
        return
    assert parse(values, origin="test").models[0].name == name


@given(value=st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.lists(st.integers(), max_size=2)))
def test_no_value_of_a_wrong_type_gives_a_stack_trace(value: object):
    for path in (
        "cluster",
        "node_pools",
        "models",
        "gateway",
        "models.0.replicas",
        "node_pools.0.machine_types",
    ):
        found = problems(changed(path, value))
        assert all(": " in line for line in found)

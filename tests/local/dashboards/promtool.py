"""Runs recording rules in Prometheus' own test harness."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dashboards.recording_rules import ScaledModel, rule_group
from serving.signals import series

OF_MODEL = 'namespace="inference",inference_service="chat"'
OF_DEPLOYMENT = 'namespace="inference",deployment="chat"'
STEPS = 60
"""Length of every input, in intervals of 15 s."""


@dataclass(frozen=True)
class Expected:
    """The value of a signal at a time; None where it must be absent."""

    signal: str
    at: str
    value: float | None


def constant(value: float) -> str:
    return f"{value:g}x{STEPS}"


def kubernetes(desired: str, ready: str) -> dict[str, str]:
    """What kube-state-metrics says of the Deployment."""
    return {
        f"kube_deployment_spec_replicas{{{OF_DEPLOYMENT}}}": desired,
        f"kube_deployment_status_replicas_ready{{{OF_DEPLOYMENT}}}": ready,
    }


def arrivals(values: str) -> dict[str, str]:
    """What the gateway counts."""
    labels = 'namespace="gateway",envoy_local_http_ratelimit_prefix="chat",pod="gateway-1"'
    return {f"envoy_http_local_rate_limit_enabled{{{labels}}}": values}


def engine(
    pod: str,
    running: str = constant(0),
    waiting: str = constant(0),
    in_time: str = constant(0),
    all_first_tokens: str = constant(0),
    prompt_tokens: str = constant(0),
) -> dict[str, str]:
    """One replica as Prometheus reads it. in_time: first tokens within 1 s."""
    labels = f'{OF_MODEL},model_name="chat",engine="0",pod="{pod}"'
    bucket = "vllm:time_to_first_token_seconds_bucket"
    return {
        f'up{{{OF_MODEL},pod="{pod}"}}': constant(1),
        f"vllm:num_requests_running{{{labels}}}": running,
        f"vllm:num_requests_waiting{{{labels}}}": waiting,
        f'vllm:num_requests_waiting_by_reason{{{labels},reason="capacity"}}': waiting,
        f'vllm:num_requests_waiting_by_reason{{{labels},reason="deferred"}}': constant(0),
        f"vllm:kv_cache_usage_perc{{{labels}}}": constant(0),
        f"vllm:generation_tokens_total{{{labels}}}": constant(0),
        f"vllm:prompt_tokens_total{{{labels}}}": prompt_tokens,
        f'{bucket}{{{labels},le="0.5"}}': constant(0),
        f'{bucket}{{{labels},le="1.0"}}': in_time,
        f'{bucket}{{{labels},le="+Inf"}}': all_first_tokens,
    }


INTERVAL_SECONDS = 15
"""Between two evaluations."""


def check(
    promtool: Path, folder: Path, rules: ScaledModel, given: Mapping[str, str], *wanted: Expected
) -> None:
    """Fails with promtool's own words if a signal has another value."""
    (folder / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [rule_group(rules, INTERVAL_SECONDS)]}), encoding="utf-8"
    )
    document = {
        "rule_files": ["rules.yaml"],
        "fuzzy_compare": True,  # the last bit of a rate depends on the order of additions
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in given.items()],
                "promql_expr_test": [
                    {
                        # Labels are the same for all signals, and checked elsewhere.
                        "expr": f"sum({series(expected.signal, rules.name)})",
                        "eval_time": expected.at,
                        "exp_samples": []
                        if expected.value is None
                        else [{"labels": "{}", "value": expected.value}],
                    }
                    for expected in wanted
                ],
            }
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [str(promtool), "test", "rules", "tests.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""The stacks that the benchmark deploys: the local one, with its small model as often as asked."""

from __future__ import annotations

import yaml

from local.paths import ROOT
from local.token import with_own_files


def stack_file(models: int) -> str:
    """A stack file for Pulumi's --config-file: `models` models, each one replica on its own L4 machine."""
    document = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text())
    config = document["config"] = with_own_files(document["config"])
    small = config["llm-platform:models"][0]
    pool = next(row for row in config["llm-platform:node_pools"] if row["name"] == small["node_pool"])
    pool["max_nodes"] = models + 1
    config["llm-platform:node_pools"] = [pool]
    # One replica must be able to serve what is expected of it, and fifty machines are above any local budget.
    load = {**small["expected_load"], "requests_per_second": 0.5}
    config["llm-platform:models"] = [
        {**small, "name": f"chat-{number:02}", "replicas": {"min": 1, "max": 1}, "expected_load": load}
        for number in range(models)
    ]
    config.pop("llm-platform:budget", None)
    return yaml.safe_dump(document, sort_keys=False)

"""An engine as unlike vLLM as real ones are. Only tests put it into the table of engines.

It closes its port at SIGTERM and finishes what runs without a limit (Triton, TGI), answers to any model name
(SGLang), says 429 when its queue is full (TGI), has its metrics on another port (Triton), does not time its
first tokens (TGI) and keeps idle connections for less time than vLLM.
"""

from __future__ import annotations

import re

from serving.engines.engine import Engine, EngineMetrics, Probe, Probes, StartLog
from serving.gateway.served import Upstream
from serving.weights.layout import MODEL_PATH

TOY = Engine(
    name="toy",
    image="python",  # any row of images.yaml
    user=4242,
    memory="sglang",
    tasks=frozenset({"generate"}),
    features=frozenset({"max_output_tokens", "quantization"}),
    adapter_ranks=(),
    upstream=Upstream(port=30000, keep_alive_seconds=3, check_path="/ready", full_status=429),
    metrics_port=30002,
    metrics=EngineMetrics(
        own_label="rank",
        running="toy:running",
        waiting="toy:waiting",
        waiting_for_capacity='toy:waiting{why="full"}',
        kv_cache_usage="toy:cache",
        generation_tokens="toy:generated_total",
        prompt_tokens="toy:read_total",
        first_token_buckets=None,
    ),
    checks_names=False,
    scratch="/var/toy",
    compiled=None,
    exit_seconds=0,
    start_log=StartLog(started=re.compile("serving"), weights=re.compile(r"read in (\d+) s")),
    arguments=lambda replica: ["--model", MODEL_PATH, "--name", replica.served_names[0]],
    environment=lambda replica: {"TOY_BATCH": str(replica.max_num_seqs)},
    probes=lambda replica: Probes(
        startup=Probe("/ready", 1, 300, timeout_seconds=1),
        readiness=Probe("/ready", 5, 2, timeout_seconds=3),
        liveness=Probe(("toy-alive", "--quiet"), 10, 6, timeout_seconds=3),
    ),
    startup_seconds=lambda replica: 300,
)

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.container import compiled_claim, volumes
from serving.container import container as container_of
from serving.engines import vllm
from serving.images.pinned import image
from serving.replica import PRE_STOP_SECONDS, Replica
from sizing.models.models import MODELS
from sizing.models.task import Task
from tests.serving.contracts import large_replica, small_replica


def flags(replica: Replica) -> dict[str, str]:
    _, *rest = (part for part in vllm.arguments(replica) if part != "--enable-auto-tool-choice")
    return dict(zip(rest[::2], rest[1::2], strict=True))


def test_the_folder_of_the_weights_comes_first_as_vllm_serve_wants_it():
    assert vllm.arguments(small_replica())[0] == "/weights/model"


def test_every_setting_arrives():
    found = flags(small_replica(max_model_len=4096, gpu_memory_utilization=0.9))
    assert found["--served-model-name"] == "chat"
    assert found["--max-model-len"] == "4096"
    assert found["--gpu-memory-utilization"] == "0.9"
    assert found["--max-num-seqs"] == "16"
    assert flags(large_replica())["--tensor-parallel-size"] == "2"


def test_the_queue_bound_counts_running_requests_too():
    assert flags(small_replica(max_num_seqs=16, max_queued_requests=64))["--max-num-queued-reqs"] == "80"


def test_a_limit_of_replies_is_the_servers_default_for_all():
    assert "--override-generation-config" not in flags(small_replica(max_output_tokens=None))
    found = flags(small_replica(max_output_tokens=2048))
    assert json.loads(found["--override-generation-config"]) == {"max_new_tokens": 2048}


def test_nothing_is_fetched_by_an_engine():
    assert "--revision" not in flags(small_replica())
    environment = vllm.environment(small_replica())
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert not any("TOKEN" in name for name in environment)


@pytest.mark.parametrize(
    ("running", "queued", "n", "prompts"),
    [(14, 32, 46, 46), (64, 512, 64, 576), (900, 900, 64, 1024), (1, 1, 2, 2)],
)
def test_no_request_may_ask_for_more_than_a_replica_takes(running: int, queued: int, n: int, prompts: int):
    replica = small_replica(max_num_seqs=running, max_queued_requests=queued)
    environment = vllm.environment(replica)
    assert environment["VLLM_MAX_N_SEQUENCES"] == str(n)
    assert environment["VLLM_MAX_COMPLETION_PROMPTS"] == str(prompts)
    assert flags(replica)["--max-num-queued-reqs"] == str(running + queued)


def test_media_by_address_is_refused_unless_a_domain_is_named():
    for replica, domains in (
        (small_replica(), [vllm.NO_DOMAIN]),
        (
            small_replica(allowed_media_domains=("a.example.com", "b.example.com")),
            ["a.example.com", "b.example.com"],
        ),
    ):
        words = vllm.arguments(replica)
        at = words.index("--allowed-media-domains") + 1
        assert words[at : at + len(domains)] == domains
        assert at + len(domains) == len(words) or words[at + len(domains)].startswith("--")
        assert "--allowed-local-media-path" not in words
        assert vllm.environment(replica)["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    # RFC 2606, section 2: a name that never exists.
    assert vllm.NO_DOMAIN.endswith(".invalid")


def test_quantisation_only_while_loading():
    assert flags(small_replica(quantization="fp8"))["--quantization"] == "fp8"
    assert "--quantization" not in flags(small_replica(quantization=None))
    # The checkpoint is fp8 already: the flag would ask vLLM for another method than the one it finds.
    assert "--quantization" not in flags(large_replica(quantization="fp8"))


@given(ttft=st.floats(0.001, 100), itl=st.floats(0.001, 10))
def test_the_service_level_is_always_a_histogram_edge(ttft: float, itl: float):
    found = flags(small_replica(ttft_seconds=ttft, itl_seconds=itl))
    custom = json.loads(found.get("--custom-histogram-buckets", "{}"))
    for family, seconds in (("time_to_first_token", ttft), ("inter_token_latency", itl)):
        edges = custom.get(family, vllm.HISTOGRAMS[family])
        assert seconds in edges
        assert edges == sorted(set(edges))


def test_defaults_stay_where_they_have_the_edge():
    assert "--custom-histogram-buckets" not in flags(small_replica(ttft_seconds=1.0, itl_seconds=0.05))


@pytest.mark.parametrize("replica", [small_replica(), large_replica()], ids=["small", "large"])
def test_every_cache_is_on_a_writable_volume(replica: Replica):
    container: Any = container_of(replica)
    mounts = [mount.mount_path for mount in container.volume_mounts]
    assert {mount.name for mount in container.volume_mounts} == {volume.name for volume in volumes(replica)}
    folders = [item.value for item in container.env if item.value.startswith("/")]
    assert len(folders) == 7
    assert all(any(folder.startswith(f"{mount}/") for mount in mounts) for folder in folders)
    assert not any(folder.startswith("/weights") for folder in folders)


def test_shared_memory_for_tensor_parallel_only_and_inside_the_memory_limit():
    names = ["weights", "compiled", "scratch", "tmp"]
    assert [volume.name for volume in volumes(small_replica())] == names
    replica = large_replica()
    volume: Any = volumes(replica)[4]
    assert volume.empty_dir.medium == "Memory"
    assert volume.empty_dir.size_limit == "4Gi"
    assert replica.share.memory_mib > 4 * 1024


def test_gpus_memory_and_disk_are_guaranteed_and_cpu_is_not_throttled():
    resources: Any = container_of(large_replica()).resources
    assert resources.limits.items() <= resources.requests.items()
    assert resources.limits["nvidia.com/gpu"] == "2"
    assert "cpu" in resources.requests
    assert "cpu" not in resources.limits


def test_the_node_keeps_scratch_files_only():
    resources: Any = container_of(large_replica()).resources
    assert resources.limits["ephemeral-storage"] == "6Gi"


def test_what_is_compiled_is_shared_by_the_replicas_of_one_deployment_and_version_only():
    version = image("vllm").tag
    assert compiled_claim(small_replica()) == f"compiled-chat-{version}"
    assert compiled_claim(small_replica(name="chat-canary")) == f"compiled-chat-canary-{version}"
    found = {volume.name: volume for volume in volumes(small_replica())}
    compiled: Any = found["compiled"].persistent_volume_claim
    assert compiled.claim_name == f"compiled-chat-{version}"
    assert not compiled.read_only


@given(model=st.sampled_from(sorted(MODELS)))
def test_the_startup_probe_waits_for_a_cold_start(model: str):
    replica = small_replica(model=MODELS[model])
    probe: Any = container_of(replica).startup_probe
    budget = probe.period_seconds * probe.failure_threshold
    assert budget >= vllm.startup_seconds(replica)
    # 100 MiB/s and the start of a small model on a small GPU, twice.
    assert budget >= MODELS[model].download_gib * 10 + 2 * 295


@given(drain=st.integers(1, 3600))
def test_the_kill_comes_after_pre_stop_and_shutdown(drain: int):
    replica = small_replica(drain_seconds=drain)
    container: Any = container_of(replica)
    assert container.lifecycle.pre_stop.sleep.seconds == PRE_STOP_SECONDS
    assert flags(replica)["--shutdown-timeout"] == str(drain)
    # What the drain did not end, nobody waits for longer than this.
    assert PRE_STOP_SECONDS + drain < vllm.VLLM.grace_seconds(replica) <= PRE_STOP_SECONDS + drain + 5


def test_probes_ask_the_engines_port():
    container: Any = container_of(small_replica())
    (port,) = container.ports
    assert container.startup_probe.http_get.port == port.name
    assert container.startup_probe.http_get.path == "/health"
    script = runpy.run_path(str(vllm.PROGRESS_SCRIPT))
    for probe in (container.readiness_probe, container.liveness_probe):
        assert f"http://127.0.0.1:{port.container_port}" in probe.exec_.command
        # Both looks at the engine, and the request that makes sure.
        assert probe.timeout_seconds > 2 * script["LOOK_SECONDS"] + script["PATIENCE_SECONDS"]


def test_the_image_is_pinned_to_a_version_without_known_holes():
    assert container_of(small_replica()).image == image("vllm").reference
    major, minor, patch = image("vllm").tag.removeprefix("v").split(".")
    assert (int(major), int(minor), int(patch)) >= (0, 32, 0)


@pytest.mark.parametrize(
    ("task", "name", "convert", "overrides"),
    [
        ("embed", "Qwen/Qwen3-Embedding-0.6B", "embed", {"is_matryoshka": True}),
        (
            "rerank",
            "Qwen/Qwen3-Reranker-0.6B",
            "classify",
            {
                "architectures": ["Qwen3ForSequenceClassification"],
                "classifier_from_token": ["no", "yes"],
                "is_original_qwen3_reranker": True,
            },
        ),
    ],
)
def test_a_task_without_tokens(task: Task, name: str, convert: str, overrides: dict[str, Any]):
    replica = small_replica(task=task, model=MODELS[name], itl_seconds=None)
    found = flags(replica)
    assert (found["--runner"], found["--convert"]) == ("pooling", convert)
    assert json.loads(found["--hf-overrides"]) == overrides
    assert "inter_token_latency" not in found.get("--custom-histogram-buckets", "")


def test_the_rerankers_template_is_given_itself():
    template = flags(small_replica(task="rerank", model=MODELS["Qwen/Qwen3-Reranker-0.6B"]))[
        "--chat-template"
    ]
    # vLLM takes a text with braces that is no file for the template.
    assert "{{" in template
    assert template.startswith("<|im_start|>system")
    assert "$(" not in template  # Kubernetes would expand it


def test_generating_needs_no_flags_of_a_task():
    assert not {"--runner", "--convert", "--hf-overrides", "--chat-template"} & set(flags(small_replica()))

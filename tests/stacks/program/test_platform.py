"""The program as a whole: what it registers, in which order, and when it registers nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pulumi
import pytest

from serving.gateway import documents, gateway
from serving.images.pinned import IMAGES
from serving.names import GATEWAY_NAMESPACE
from sizing.labels import NODE_POOL_LABEL
from stacks import program
from stacks.config import Stack
from stacks.load import parse
from tests.recording import Recording, Registered, record, stack_outputs
from tests.stacks.environments import aws_values, changed, local_values, stack_on


def run(stack: Stack) -> Recording:
    return record(lambda: program.export(program.build(stack)))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return run(stack_on(tmp_path_factory.mktemp("local") / "kubeconfig"))


def pods(recording: Recording) -> list[tuple[str, dict[str, Any]]]:
    return [
        (resource.inputs["metadata"]["name"], resource.inputs["spec"]["template"]["spec"])
        for resource in recording
        if resource.inputs.get("kind") in ("Deployment", "Job")
    ]


def test_every_component_registers_its_outputs(local: Recording):
    components = {resource.urn for resource in local if resource.component}
    assert components
    assert components <= set(local.outputs)


def test_no_two_resources_have_one_urn(local: Recording):
    # The engine would refuse them; mocks do not.
    assert [urn for urn, count in Counter(resource.urn for resource in local).items() if count > 1] == []


def test_every_object_has_a_name_of_its_own_and_the_clusters_provider(local: Recording):
    objects = [resource for resource in local if "metadata" in resource.inputs]
    keys = Counter(
        (
            resource.inputs["kind"],
            resource.inputs["metadata"].get("namespace"),
            resource.inputs["metadata"]["name"],
        )
        for resource in objects
    )
    assert max(keys.values()) == 1
    assert {resource.provider.split("::")[-2] for resource in objects} == {"local-kubernetes"}


def test_children_belong_to_their_component(local: Recording):
    components = {resource.urn for resource in local if resource.component}
    for resource in local:
        if not resource.component and resource.inputs.get("kind") != "Namespace":
            assert resource.parent in components, resource.urn


def urns(found: list[Registered]) -> set[str]:
    return {resource.urn for resource in found}


def test_a_destroy_removes_pods_before_machines_and_machines_before_their_class(local: Recording):
    # Pulumi deletes in the reverse order of dependencies.
    node_class = local.one("KWOKNodeClass", "gpu")
    for model, pool in (("chat", "l4"), ("chat-large", "rtx-pro-6000")):
        node_pool = local.one("NodePool", pool)
        assert node_pool.urn in local.behind(local.one("Deployment", model))
        assert node_class.urn in local.behind(node_pool)


def test_a_pool_that_is_bought_in_turn_is_one_pool_to_all_that_use_it(tmp_path: Path):
    values = changed("node_pools.0.capacity", ["spot", "on-demand"])
    values["node_pools"][0]["warm_nodes"] = 2
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    pools = [recording.one("NodePool", name) for name in ("l4.spot", "l4")]
    assert [pool.inputs["spec"]["weight"] for pool in pools] == [2, 1]
    assert [pool.inputs["spec"]["limits"]["nodes"] for pool in pools] == [3, 3]
    for pool in pools:
        annotations = pool.inputs["metadata"]["annotations"]
        assert annotations == {"pulumi.com/deletionPropagationPolicy": "foreground"}
        assert pool.inputs["spec"]["template"]["metadata"]["labels"]["llm-platform/node-pool"] == "l4"
        # On a destroy the pods go first, then the machines of all NodePools, then their class.
        assert recording.one("KWOKNodeClass", "gpu").urn in recording.behind(pool)
        for user in ("chat", "l4"):
            assert pool.urn in recording.behind(recording.one("Deployment", user))
    # As many placeholders as warm nodes, not as many for each NodePool.
    assert recording.one("Deployment", "l4").inputs["spec"]["replicas"] == 2


def test_the_verification_comes_after_everything_else(local: Recording):
    job = local.one("Job", job_name(local))
    own = [resource for resource in local if resource.parent == job.parent]
    components = [resource for resource in local if resource.component]
    assert urns(list(local)) - local.behind(job) == urns(own) - local.behind(job)
    assert len(components) == 17


def test_outputs(local: Recording):
    outputs = stack_outputs(local)
    assert outputs["gateway_url"] == "http://127.0.0.1:8080"
    assert outputs["models"] == ["chat", "chat-large"]
    # 9.2637 $/h without load; 730 hours are a month.
    assert outputs["plan"]["usd_per_month"].startswith("6762 / ")


def test_provider_reads_the_kubeconfig_of_the_stack_file_and_keeps_its_identity(local: Recording):
    provider = next(resource for resource in local if resource.type == "pulumi:providers:kubernetes")
    assert provider.inputs["kubeconfig"].endswith("kubeconfig")
    assert provider.inputs["clusterIdentifier"] == "local"
    assert provider.inputs["enableConfigMapMutable"] == "true"


def test_namespaces_refuse_pods_below_the_restricted_standard(local: Recording):
    for name in ("inference", "gateway"):
        labels = local.one("Namespace", name).inputs["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_pod_meets_the_restricted_standard(local: Recording):
    assert [name for name, _ in pods(local)][:1] == ["gateway"]
    assert len(pods(local)) == 6
    for name, spec in pods(local):
        assert_restricted(name, spec)


def assert_restricted(name: str, spec: dict[str, Any]) -> None:
    assert spec["securityContext"]["runAsNonRoot"] is True, name
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] not in ("", "default")
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert "memory" in container["resources"]["limits"]


def test_model_pods_find_their_pool_and_other_pods_the_system_machines(local: Recording):
    selectors = {name: spec["nodeSelector"] for name, spec in pods(local)}
    jobs = [name for name in selectors if name.startswith(("verify-", "stage-"))]
    assert len(jobs) == 3
    assert selectors == {
        "chat": {NODE_POOL_LABEL: "l4"},
        "chat-large": {NODE_POOL_LABEL: "rtx-pro-6000"},
        "gateway": {NODE_POOL_LABEL: "system"},
        **{job: {NODE_POOL_LABEL: "system"} for job in jobs},
    }


def test_the_number_of_replicas_belongs_to_the_autoscaler(tmp_path: Path):
    values = changed("models.0.replicas", {"min": 3, "max": 4})
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    assert "replicas" not in recording.one("Deployment", "chat").inputs["spec"]
    scaled = recording.one("ScaledObject", "chat").inputs["spec"]
    assert scaled["scaleTargetRef"]["name"] == "chat"
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (3, 4)


def test_the_batch_follows_from_the_service_level_unless_it_is_given(tmp_path: Path):
    def batch(values: dict[str, Any]) -> str:
        recording = run(stack_on(tmp_path / "kubeconfig", values))
        arguments = recording.one("Deployment", "chat").inputs["spec"]["template"]["spec"]["containers"][0][
            "args"
        ]
        return arguments[arguments.index("--max-num-seqs") + 1]

    assert batch(local_values()) == "13"
    assert batch(changed("models.0.slo.itl.seconds", 0.06)) == "20"
    assert batch(changed("models.0.max_num_seqs", 4)) == "4"


def test_a_kubeconfig_without_prometheus_says_what_to_do(tmp_path: Path):
    stack = stack_on(tmp_path / "kubeconfig")
    (tmp_path / "kubeconfig").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.raises(pulumi.RunError, match="does not say where Prometheus and the hub are"):
        run(stack)


@pytest.mark.parametrize(("max_nodes", "surge"), [(5, 0), (6, 1)])
def test_a_surge_replica_only_where_the_pool_has_room_for_it(tmp_path: Path, max_nodes: int, surge: int):
    values = changed("node_pools.0.max_nodes", max_nodes)
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    rollout = recording.one("Deployment", "chat").inputs["spec"]["strategy"]["rollingUpdate"]
    assert rollout == {"maxSurge": surge, "maxUnavailable": 1 - surge}


def job_name(recording: Recording) -> str:
    """Of the verification; staging Jobs are called otherwise."""
    found = [r.inputs["metadata"]["name"] for r in recording if r.inputs.get("kind") == "Job"]
    return next(name for name in found if name.startswith("verify-"))


def test_the_verification_runs_again_only_when_something_changed(tmp_path: Path):
    first = job_name(run(stack_on(tmp_path / "kubeconfig")))
    assert job_name(run(stack_on(tmp_path / "the-same-cluster-elsewhere"))) == first
    changes = {"models.0.max_model_len": 8192, "gateway.max_request_mib": 1, "models.1.replicas.min": 2}
    for path, value in changes.items():
        assert job_name(run(stack_on(tmp_path / "kubeconfig", changed(path, value)))) != first


def test_a_cluster_that_cannot_be_built_yet_is_refused_with_every_reason():
    registered: list[Recording] = []

    def build() -> None:
        program.build(parse(aws_values(), origin="test"))

    with pytest.raises(pulumi.RunError, match=r"^cluster\.provider: aws can be planned") as raised:
        registered.append(record(build))
    unpinned = [name for name, row in IMAGES.items() if row.digest is None]
    lines = str(raised.value).splitlines()
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["serving/images/data/images.yaml", name] for name in unpinned
    ]
    assert registered == []


def test_a_plan_above_its_budget_ends_the_preview_and_registers_nothing(tmp_path: Path):
    stack = stack_on(tmp_path / "kubeconfig", {**local_values(), "budget": {"monthly_usd": 10000}})
    registered: list[Recording] = []
    with pytest.raises(pulumi.RunError, match=r"budget\.monthly_usd: 10000 is less than the \d+ \$/month"):
        registered.append(run(stack))
    assert registered == []


def test_warnings_are_one_message_whose_last_line_is_short(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    # Any bill is above a budget of 1 $/month: expected, and at most.
    budget = {"monthly_usd": 1, "if_maximum_exceeds": "warn"}
    with caplog.at_level("INFO"):
        run(stack_on(tmp_path / "kubeconfig", {**local_values(), "budget": budget}))
    (message,) = [record.message for record in caplog.records if "budget" in record.message]
    *found, last = message.splitlines()
    assert last.startswith(f"{len(found)} warnings on the plan: make plan STACK=")
    assert sum("is above budget.monthly_usd 1" in line for line in found) == 2


def test_money_and_labels_prove_nothing_again(tmp_path: Path):
    first = job_name(run(stack_on(tmp_path / "kubeconfig")))
    sections = {"budget": {"monthly_usd": 20000}, "tags": {"team": "platform"}}
    assert job_name(run(stack_on(tmp_path / "kubeconfig", {**local_values(), **sections}))) == first


def test_a_missing_kubeconfig_says_how_to_get_one_and_registers_nothing(tmp_path: Path):
    stack = stack_on(tmp_path / "kubeconfig")
    (tmp_path / "kubeconfig").unlink()
    registered: list[Recording] = []

    def build() -> None:
        program.build(stack)

    with pytest.raises(pulumi.RunError, match=r"cluster\.kubeconfig: .* does not exist .* `make up`"):
        registered.append(record(build))
    assert registered == []


def test_fifty_models(tmp_path: Path):
    values = local_values()
    values["models"] = [{**values["models"][0], "name": f"chat-{index}"} for index in range(50)]
    values["node_pools"][0]["max_nodes"] = 300
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    assert sum(resource.inputs.get("kind") == "Deployment" for resource in recording) == 51


def test_each_file_of_the_gateway_is_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # With fifty models a rendering of all of them took a sixth of the program's time.
    rendered: list[str] = []

    def counted(document: documents.Document) -> str:
        rendered.append(documents.to_yaml(document))
        return rendered[-1]

    monkeypatch.setattr(gateway, "to_yaml", counted)
    recording = run(stack_on(tmp_path / "kubeconfig"))
    registered = [
        text
        for resource in recording
        if resource.inputs.get("kind") == "ConfigMap"
        and resource.inputs["metadata"]["namespace"] == GATEWAY_NAMESPACE
        for name, text in resource.inputs["data"].items()
        if name.endswith(".yaml")
    ]
    assert sorted(rendered) == sorted(registered)
    assert registered


def test_one_setting_takes_one_way(tmp_path: Path):
    values = changed("models.0.max_model_len", 4096)
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    arguments = recording.one("Deployment", "chat").inputs["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    assert arguments[arguments.index("--max-model-len") + 1] == "4096"


def warm(tmp_path: Path, mechanism: str, count: int) -> Recording:
    values = changed("node_pools.0.warm_capacity", mechanism)
    values["node_pools"][0]["warm_nodes"] = count
    return run(stack_on(tmp_path / "kubeconfig", values))


def test_no_warm_nodes_leave_no_trace(tmp_path: Path):
    for resource in warm(tmp_path, "placeholder_pods", 0):
        assert resource.inputs.get("metadata", {}).get("namespace") != "warm-nodes"
        assert resource.inputs.get("metadata", {}).get("name") != "warm-nodes"


def test_a_buffer_is_shrunk_to_nothing_instead_of_deleted(tmp_path: Path):
    # Deleted while it holds a node, it would keep the node: Karpenter 1.14 looks again only at the next pod.
    buffer = warm(tmp_path, "capacity_buffer", 0).one("CapacityBuffer", "l4")
    assert buffer.inputs["spec"]["replicas"] == 0


def test_a_destroy_removes_what_keeps_nodes_before_the_nodes(tmp_path: Path):
    for mechanism, kind in (("placeholder_pods", "Deployment"), ("capacity_buffer", "CapacityBuffer")):
        recording = warm(tmp_path, mechanism, 1)
        keeper = recording.one(kind, "l4")
        behind = recording.behind(keeper)
        for needed in (
            recording.one("NodePool", "l4"),
            recording.one("PriorityClass", "llm-platform-placeholder"),
            recording.one("Namespace", "warm-nodes"),
        ):
            assert needed.urn in behind


def test_placeholders_stand_for_whole_machines_and_give_way_to_replicas(tmp_path: Path):
    recording = warm(tmp_path, "placeholder_pods", 2)
    deployment = recording.one("Deployment", "l4").inputs
    placeholder = deployment["spec"]["template"]["spec"]
    replica = recording.one("Deployment", "chat").inputs["spec"]["template"]["spec"]
    classes = {
        resource.inputs["metadata"]["name"]: resource.inputs
        for resource in recording
        if resource.inputs.get("kind") == "PriorityClass"
    }
    mine, theirs = (classes[spec["priorityClassName"]] for spec in (placeholder, replica))
    assert mine["value"] == -10 < 0 < theirs["value"]
    assert mine["preemptionPolicy"] == "Never"
    assert "preemptionPolicy" not in theirs
    assert placeholder["terminationGracePeriodSeconds"] == 0
    assert placeholder["nodeSelector"] == replica["nodeSelector"]
    assert placeholder["tolerations"] == replica["tolerations"]
    assert placeholder["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    # Pending placeholders are normal: neither an update nor a preview may wait for them.
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_a_placeholder_takes_every_gpu_of_the_machine_that_is_bought(tmp_path: Path):
    values = changed("node_pools.0.machine_types", ["g6.12xlarge"])
    values["node_pools"][0]["warm_nodes"] = 1
    recording = run(stack_on(tmp_path / "kubeconfig", values))
    pod = recording.one("Deployment", "l4").inputs["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] == "4"


def test_pods_of_warm_nodes_meet_the_restricted_standard(tmp_path: Path):
    recording = warm(tmp_path, "placeholder_pods", 1)
    assert (
        recording.one("Namespace", "warm-nodes").inputs["metadata"]["labels"][
            "pod-security.kubernetes.io/enforce"
        ]
        == "restricted"
    )
    for name, spec in pods(recording):
        assert_restricted(name, spec)

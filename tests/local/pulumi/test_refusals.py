"""What is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.pulumi.programs import NAMESPACE, workload
from tests.local.pulumi.project import Project

pytestmark = pytest.mark.cluster


def test_preview_refuses_a_misspelt_field_by_its_path_although_its_namespace_is_still_to_come(
    project: Project,
):
    project.write(NAMESPACE + workload().replace('"replicas": 1', '"replicaz": 1'))
    assert 'unknown field "spec.replicaz"' in project.fail("preview")
    assert not project.exists("namespace", project.namespace)


def test_preview_refuses_a_value_that_the_server_would_refuse(project: Project):
    project.write(NAMESPACE + workload(replicas=-1))
    assert "spec.replicas" in project.fail("preview")


def test_other_machines_are_refused(project: Project, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(
        project.cluster.kubeconfig.read_text().replace("https://127.0.0.1", "https://192.0.2.1")
    )
    project.write(f'other = k8s.Provider("other", kubeconfig={str(elsewhere)!r})\n')
    assert "which is not on this machine" in project.fail("preview")


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ('k8s.core.v1.ConfigMapList("x", items=[], opts=options())', "holds a list"),
        (
            'k8s.core.v1.NamespacePatch("x", metadata={"name": "default"}, opts=options())',
            "core/v1:Namespace,",
        ),
        ('k8s.helm.v3.Release("x", chart="x", opts=options())', "is not supported by the local stand-in"),
    ],
)
def test_what_is_left_out_is_refused_by_name(project: Project, resource: str, said: str):
    project.write(resource)
    assert said in project.fail("preview")

"""What becomes of a Job whose pod fails: the same for every Job here."""

from __future__ import annotations

import pulumi_kubernetes as k8s

batch = k8s.batch.v1

FINAL_EXIT_CODE = 1
"""With which a program ends where another run cannot help."""


def pod_failure_policy(container: str) -> k8s.batch.v1.PodFailurePolicyArgs:
    """FINAL_EXIT_CODE of `container` ends the Job at once; a pod that lost its node does not count."""
    return batch.PodFailurePolicyArgs(
        rules=[
            batch.PodFailurePolicyRuleArgs(
                action="FailJob",
                on_exit_codes=batch.PodFailurePolicyOnExitCodesRequirementArgs(
                    container_name=container, operator="In", values=[FINAL_EXIT_CODE]
                ),
            ),
            batch.PodFailurePolicyRuleArgs(
                action="Ignore",
                on_pod_conditions=[
                    batch.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
                ],
            ),
        ]
    )

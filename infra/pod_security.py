"""Security settings of every pod: the `restricted` Pod Security Standard, and a read-only root."""

from __future__ import annotations

import pulumi_kubernetes as k8s

RESTRICTED = "restricted"


def namespace_labels() -> dict[str, str]:
    """Labels that make the API server refuse pods below the restricted standard in a namespace."""
    return {
        "pod-security.kubernetes.io/enforce": RESTRICTED,
        "pod-security.kubernetes.io/warn": RESTRICTED,
        "pod-security.kubernetes.io/audit": RESTRICTED,
    }


def pod_security_context(uid: int) -> k8s.core.v1.PodSecurityContextArgs:
    """Runs a pod as this user, who also owns its volumes."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=uid,
        fs_group=uid,
        # Otherwise every start changes the owner of every file on a volume that is right already.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security_context() -> k8s.core.v1.SecurityContextArgs:
    """No privileges to gain, none to start with; whatever is written goes to a declared volume."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )

"""Where the add-ons of the cluster are, noted in its kubeconfig: the program reads it there."""

from __future__ import annotations

import yaml

from infra.local import KUBECONFIG_EXTENSION
from local.cluster.ports import Ports
from local.paths import KUBECONFIG


def note_addresses(ports: Ports) -> None:
    """Notes where Prometheus is, which the program hands to KEDA, and where weights come from."""
    document = yaml.safe_load(KUBECONFIG.read_text())
    addresses = {
        "prometheus": f"http://127.0.0.1:{ports.prometheus}",
        "hub": f"http://127.0.0.1:{ports.hub}",
    }
    for entry in document["clusters"]:
        entry["cluster"]["extensions"] = [{"name": KUBECONFIG_EXTENSION, "extension": addresses}]
    replacement = KUBECONFIG.with_suffix(".new")
    replacement.touch(mode=0o600)
    replacement.write_text(yaml.safe_dump(document, sort_keys=False))
    replacement.replace(KUBECONFIG)

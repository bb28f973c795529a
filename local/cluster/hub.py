"""The imitation of the Hugging Face hub as a part of the cluster."""

from __future__ import annotations

import sys

from local.cluster.ports import Ports
from local.cluster.supervision import Program
from local.paths import ROOT


def program(ports: Ports) -> Program:
    return Program(
        name="hub",
        command=(sys.executable, "-m", "local.hub", str(ports.hub)),
        order=40,
        environment={"PYTHONPATH": str(ROOT)},
    )

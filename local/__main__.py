"""`python -m local up|status|down|env`: the whole platform on this machine."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from local import up
from local.cluster import cluster
from local.cluster.cluster import ClusterError
from local.cluster.control_plane import ControlPlaneError
from local.cluster.supervision import SupervisionError
from local.pulumi.install import InstallationError
from local.status import print_status
from local.toolchain.sources import ToolFailure
from stacks.signing_keys import KeyFileError

DEFAULT_COLD_START_SCALE = 0.05
"""An engine that takes two minutes to load on a GPU is ready here in six seconds: the stages show."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bring_up = commands.add_parser("up", help="toolchain, cluster, `pulumi up`; ends with the first token")
    bring_up.add_argument(
        "--cold-start-scale",
        type=float,
        default=DEFAULT_COLD_START_SCALE,
        help="share of a real engine's start-up time that the emulator takes (default: %(default)s)",
    )
    bring_up.add_argument(
        "--cluster-only", action="store_const", const=True, help="stop before `pulumi up`", default=False
    )
    commands.add_parser("status", help="processes, addresses, nodes and pods")
    commands.add_parser("down", help="end every process and remove the state folder")
    commands.add_parser("env", help="shell exports for pulumi, kubectl and OpenAI clients")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    try:
        match arguments.command:
            case "up" if arguments.cluster_only:
                up.bring_up_cluster(console, arguments.cold_start_scale)
            case "up":
                return up.bring_up(console, arguments.cold_start_scale)
            case "status":
                return print_status(console)
            case "down":
                ended = cluster.down()
                console.print(
                    "the local cluster is gone" + (f" ({ended} stray processes ended)" if ended else "")
                )
            case _:
                print(up.shell_exports())
    except (
        ToolFailure,
        ClusterError,
        ControlPlaneError,
        SupervisionError,
        InstallationError,
        KeyFileError,
        up.DeployError,
    ) as failure:
        Console(stderr=True, soft_wrap=True).print(f"[red]error[/red]: {failure}", highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m local.fleet`: run the pods of the local cluster until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from local.fleet.api import Connection, KubeconfigError, load_kubeconfig
from local.fleet.backoff import BackoffPolicy
from local.fleet.fleet import Fleet
from local.fleet.host import Settings
from local.fleet.processes import sweep
from local.paths import KUBECONFIG, STATE

log = logging.getLogger("local.fleet")


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line per request otherwise
    kubeconfig = Path(os.environ.get("KUBECONFIG", KUBECONFIG))
    settings = Settings(
        state=STATE,
        cold_start_scale=arguments.cold_start_scale,
        endpoint_removal_delay=arguments.endpoint_removal_delay,
        backoff=BackoffPolicy(first=arguments.crash_backoff, longest=arguments.crash_backoff_limit),
    )
    try:
        connection = load_kubeconfig(kubeconfig)
        with _only_one(settings.own / "lock"):
            left = sweep(STATE)
            if left:
                log.info("fleet: ended %d processes that an earlier fleet had left: %s", len(left), left)
            asyncio.run(_run(connection, settings))
    except (KubeconfigError, AlreadyRunning) as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    return 0


class AlreadyRunning(RuntimeError):
    """Another fleet runs the pods of this state folder."""


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise AlreadyRunning(
                f"process {stream.read().strip()} runs the pods of {STATE} already; end it first"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


async def _run(connection: Connection, settings: Settings) -> None:
    fleet = asyncio.create_task(Fleet(connection, settings).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, fleet.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await fleet


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.fleet",
        description="Plays the kubelets of the local cluster: every pod with a known image becomes "
        "processes of this machine. Reads $KUBECONFIG, serves 127.0.0.1 only.",
    )
    parser.add_argument(
        "--cold-start-scale",
        type=_not_negative,
        default=1.0,
        metavar="FACTOR",
        help="factor on engines' start-up stages: 1 is what a real machine takes (default %(default)s)",
    )
    parser.add_argument(
        "--endpoint-removal-delay",
        type=_not_negative,
        default=5.0,
        metavar="SECONDS",
        help="how long clients see an endpoint after it left its Service, as with DNS (default %(default)s)",
    )
    policy = BackoffPolicy()
    parser.add_argument(
        "--crash-backoff",
        type=_not_negative,
        default=policy.first,
        metavar="SECONDS",
        help="wait before a crashing container's second restart; doubles (default %(default)s)",
    )
    parser.add_argument(
        "--crash-backoff-limit",
        type=_not_negative,
        default=policy.longest,
        metavar="SECONDS",
        help="longest such wait (default %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

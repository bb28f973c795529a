"""`python -m local.hub PORT`: serve the imitated hub on 127.0.0.1 until told to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
from types import FrameType

from local.hub.server import BANNER, Hub


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    with Hub(int(sys.argv[1])) as hub:
        print(f"{BANNER}Listening on {hub.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            hub.serve_forever()
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

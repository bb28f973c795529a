"""Become the given command, and end when the process that started it ends.

Run as `python -I -S launch.py PARENT_PID COMMAND…`. A container's process must not outlive the fleet, however
the fleet ends; on Linux the kernel sees to it. It is a program of its own, of the standard library only,
because the setting belongs to the new process, and running Python between fork and exec in a process with
threads can deadlock. Elsewhere than on Linux a fleet that was killed leaves its processes to the next one's
start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the fleet ended before the line above
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()

"""The message that a container leaves when it ends."""

from __future__ import annotations

from pathlib import Path

_FILE_LIMIT = 4096  # bytes, kubelet's limit on a termination message
_LOG_LIMIT = 2048  # bytes and lines that kubelet takes from the log instead
_LOG_LINES = 80


def termination_message(message: Path, log: Path, policy: str, exit_code: int) -> str | None:
    """The container's termination message, or None.

    It is what the container wrote to its `terminationMessagePath`; under `FallbackToLogsOnError` a container
    that failed and wrote nothing gets the end of its log.
    """
    written = _read(message)[:_FILE_LIMIT]
    if not written and policy == "FallbackToLogsOnError" and exit_code != 0:
        tail = _read(log)[-_LOG_LIMIT:]
        written = b"\n".join(tail.splitlines()[-_LOG_LINES:])
    text = written.decode(errors="replace").strip()
    return text if text else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

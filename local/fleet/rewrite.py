"""What a container calls a path or a port, in this machine's terms. Pure functions.

A container has a file system and a network of its own; its stand-in shares both with everything else. So
mount paths become folders below the pod's own, and the pod's ports on localhost become the real ports they
were given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LOCAL_PORT = re.compile(r"(?<![\w.-])(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):(\d{1,5})(?!\d)")
_PATH_BEFORE = r"(?<![\w./-])"
_PATH_AFTER = r"(?![\w-]|\.\w)"


@dataclass(frozen=True)
class Rewriter:
    """Container paths to real paths, and container ports to real ports of 127.0.0.1."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """An argument, a command or a variable's value with paths and local addresses rewritten."""
        return self._addresses(self.path(text))

    def path(self, text: str) -> str:
        """`text` with every mount path in it replaced, each place once; the longest mount wins."""
        mounts = {mount.rstrip("/"): target for mount, target in self.paths.items() if mount.rstrip("/")}
        if not mounts:
            return text
        longest_first = sorted(mounts, key=len, reverse=True)
        pattern = (
            _PATH_BEFORE + "(" + "|".join(re.escape(mount) for mount in longest_first) + ")" + _PATH_AFTER
        )
        return re.sub(pattern, lambda match: str(mounts[match.group(1)]), text)

    def _addresses(self, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            real = self.ports.get(int(match.group(2)))
            return match.group(0) if real is None else f"127.0.0.1:{real}"

        return _LOCAL_PORT.sub(replace, text)

"""One line per tool while the toolchain is prepared, in a terminal and in a log file alike."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from local.toolchain.catalogue import Tool

LOG_EVERY_SECONDS = 30.0
"""In a log (no terminal) a build that runs says so this often: seldom enough to stay readable, often enough
that nobody takes it for hung."""


class ToolProgress:
    """Shows what happens to each tool, with elapsed time and an estimate of the rest. Thread-safe."""

    def __init__(self, console: Console, tools: tuple[Tool, ...]) -> None:
        self._console = console
        self._left = {tool.name: tool.build_seconds for tool in tools}
        self._started: dict[str, float] = {}
        self._logged: dict[str, float] = {}
        self._pace = 1.0
        self._lock = threading.Lock()
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rest]}"),
            console=console,
            transient=True,
        )

    def __enter__(self) -> ToolProgress:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def started(self, tool: Tool, action: str) -> None:
        with self._lock:
            self._started[tool.name] = self._logged[tool.name] = time.monotonic()
            text = f"{tool.name} {tool.version}: {action}"
            if self._console.is_terminal:
                self._bars[tool.name] = self._progress.add_task(text, total=None, rest="")
            else:
                self._console.print(f"{text} (about {self._expected(tool):.0f} s)", highlight=False)

    def running(self, tool: Tool) -> None:
        with self._lock:
            now = time.monotonic()
            elapsed = now - self._started[tool.name]
            rest = max(self._expected(tool) - elapsed, 0.0)
            text = f"about {rest:.0f} s left, {self._all_left(tool, elapsed):.0f} s for all"
            if self._console.is_terminal:
                self._progress.update(self._bars[tool.name], rest=text)
            elif now - self._logged[tool.name] >= LOG_EVERY_SECONDS:
                self._logged[tool.name] = now
                self._console.print(f"{tool.name}: {elapsed:.0f} s, {text}", highlight=False)

    def finished(self, tool: Tool, how: str) -> None:
        with self._lock:
            elapsed = time.monotonic() - self._started.get(tool.name, time.monotonic())
            self._left.pop(tool.name, None)
            if elapsed > 1 and how == "built":
                # The machine's speed against the measured one, so that later estimates are this machine's.
                self._pace = elapsed / tool.build_seconds
            if tool.name in self._bars:
                self._progress.remove_task(self._bars.pop(tool.name))
            self._console.print(f"{tool.name} {tool.version}: {how} in {elapsed:.0f} s", highlight=False)

    def _expected(self, tool: Tool) -> float:
        return tool.build_seconds * self._pace

    def _all_left(self, tool: Tool, elapsed: float) -> float:
        return max(sum(self._left.values()) * self._pace - elapsed, 0.0)

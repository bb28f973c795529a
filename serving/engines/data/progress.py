"""Whether an engine gets on with its work. Run by the kubelet in the engine's container, every few seconds.

usage: progress.py URL STATE STUCK_SECONDS IDLE_SECONDS PATH BODY

Exit status 0: it answers /health and gets on. If it has work and has computed nothing for STUCK_SECONDS, or
has had none for IDLE_SECONDS (0: never), it is asked for the least that it can compute, BODY at PATH. vLLM
sets its gauges after a step: an engine that is stuck before the first one shows no work, and one that works
may show some for a while after. What it was seen to have computed is remembered in the file STATE.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request

LOOK_SECONDS = 3.0  # for /health, and for /metrics
PATIENCE_SECONDS = 8.0  # for the least that the engine can compute
SAMPLE = re.compile(r"^vllm:(\w+)(?:\{[^}]*\})? (\S+)", re.MULTILINE)
WORK = ("num_requests_running", "num_requests_waiting")
DONE = ("prompt_tokens_total", "generation_tokens_total", "iteration_tokens_total_count")


def sums(metrics: str) -> dict[str, float]:
    """The sum of each family over its labels."""
    found: dict[str, float] = {}
    for name, value in SAMPLE.findall(metrics):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def silences(state: str, done: float, busy: bool, now: float) -> tuple[float, float]:
    """Seconds for which nothing was computed, and for which it also had work; notes what it has done now."""
    try:
        with open(state, encoding="utf-8") as file:
            before = json.load(file)
    except (OSError, ValueError):
        before = None
    # A counter that is lower belongs to an engine that has started again.
    if before is None or done != before["done"] or now < before["since"]:
        before = {"done": done, "since": now, "busy_since": None}
    since, busy_since = before["since"], before["busy_since"]
    busy_since = None if not busy else now if busy_since is None else busy_since
    with open(state, "w", encoding="utf-8") as file:
        json.dump({"done": done, "since": since, "busy_since": busy_since}, file)
    return now - since, 0.0 if busy_since is None else now - busy_since


def get(url: str, timeout: float, body: str | None = None) -> str:
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return reply.read().decode()


def main(url: str, state: str, stuck_seconds: str, idle_seconds: str, path: str, body: str) -> str | None:
    """What is wrong, if anything."""
    try:
        get(f"{url}/health", LOOK_SECONDS)
        found = sums(get(f"{url}/metrics", LOOK_SECONDS))
    except OSError as error:
        return f"no answer: {error}"
    busy = sum(found.get(name, 0.0) for name in WORK) > 0
    silent, stuck = silences(state, sum(found.get(name, 0.0) for name in DONE), busy, time.time())
    idle = float(idle_seconds)
    if stuck < float(stuck_seconds) and (idle == 0 or silent < idle):
        return None
    try:
        get(f"{url}{path}", PATIENCE_SECONDS, body)
    except OSError as error:
        return f"nothing computed for {silent:.0f} s; the least that was asked for: {error}"
    return None


if __name__ == "__main__":
    problem = main(*sys.argv[1:])
    if problem is not None:
        sys.exit(problem)

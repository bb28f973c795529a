"""Whether an engine gets on with its work. Run by the kubelet in the engine's container, every few seconds.

usage: progress.py URL STATE STUCK_SECONDS PATH BODY

Exit status 0: it answers /health, and it has nothing to do or has computed something in the last
STUCK_SECONDS. What it was seen to have computed is remembered in the file STATE. Before the script says no,
it asks for the least that the engine can compute, BODY at PATH, so that a count that lags behind ends no
engine that works.
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


def stuck_for(state: str, done: float, busy: bool, now: float) -> float:
    """Seconds for which it has been busy and computed nothing; notes what it has done now."""
    try:
        with open(state, encoding="utf-8") as file:
            before = json.load(file)
    except (OSError, ValueError):
        before = None
    # A counter that is lower belongs to an engine that has started again.
    if before is not None and busy and done == before["done"] and now >= before["since"]:
        return now - before["since"]
    with open(state, "w", encoding="utf-8") as file:
        json.dump({"done": done, "since": now}, file)
    return 0.0


def get(url: str, timeout: float, body: str | None = None) -> str:
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return reply.read().decode()


def main(url: str, state: str, stuck_seconds: str, path: str, body: str) -> str | None:
    """What is wrong, if anything."""
    try:
        get(f"{url}/health", LOOK_SECONDS)
        found = sums(get(f"{url}/metrics", LOOK_SECONDS))
    except OSError as error:
        return f"no answer: {error}"
    busy = sum(found.get(name, 0.0) for name in WORK) > 0
    silence = stuck_for(state, sum(found.get(name, 0.0) for name in DONE), busy, time.time())
    if silence < float(stuck_seconds):
        return None
    try:
        get(f"{url}{path}", PATIENCE_SECONDS, body)
    except OSError as error:
        return f"busy, and nothing computed for {silence:.0f} s; a request of one token: {error}"
    return None


if __name__ == "__main__":
    problem = main(*sys.argv[1:])
    if problem is not None:
        sys.exit(problem)

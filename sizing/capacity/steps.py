"""What requests add to a step, and the batch that keeps a time between tokens: the queue model's arithmetic.

One request of I prompt and O output tokens adds to a step

    S = beta x (I + O) / (O + 1) + gamma x (I + O / 2) + sequence        milliseconds

because it is computed in O + 1 steps and its context is I + O / 2 tokens on average, plus what the host does
for a sequence. A batch of B takes

    alpha + experts x (1 - (1 - k / E) ^ B) + B x S

per step, which is the mean time between two tokens: most steps compute a token of each request, and read the
experts that these are sent to. It grows with B ever more slowly, so Newton's method finds the batch of a
given time from one side.
"""

from __future__ import annotations

from math import log
from typing import Protocol

from sizing.capacity.timing import StepTime

ROOM_ABOVE_BATCH = 1.15
"""`--max-num-seqs` over the batch that meets the service level: the middle of 1.1 to 1.2. Less would queue
requests that could still be served in time. vLLM's default of 1024 never queues before latency is lost, so an
autoscaler that watches the queue sees nothing: on a 70B over four H100s, 256 at once give 14 % more requests
per second than the batch of 119, and twice the time per token."""


NEWTON_STEPS = 60
CLOSE = 1e-12
"""When Newton's method ends: a dozen steps in practice."""


class RequestShape(Protocol):
    """Tokens of a typical request."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...


def step_share_ms(timing: StepTime, requests: RequestShape) -> float:
    """S: what one request adds to each step, milliseconds."""
    prompt, output = requests.prompt_tokens, requests.output_tokens
    computed, context = (prompt + output) / (output + 1), prompt + output / 2
    return timing.beta_ms * computed + timing.gamma_ms * context + timing.sequence_ms


def step_seconds(timing: StepTime, batch: float, requests: RequestShape) -> float:
    """Mean time between two tokens with a batch of this size."""
    return (timing.read_ms(batch) + batch * step_share_ms(timing, requests)) / 1000


def batch_at(timing: StepTime, itl_seconds: float, requests: RequestShape) -> float:
    """B*: the batch with which a step takes `itl_seconds` on average; below 0 if none is so short."""
    wanted, share = itl_seconds * 1000, step_share_ms(timing, requests)
    if timing.experts_ms == 0 or wanted <= timing.alpha_ms:
        return (wanted - timing.alpha_ms) / share
    batch = 0.0
    for _ in range(NEWTON_STEPS):
        slope = share + _experts_slope_ms(timing, batch)
        further = (wanted - timing.read_ms(batch) - batch * share) / slope
        batch += further
        if further <= batch * CLOSE:
            break
    return batch


def batch_of_share(timing: StepTime, batch: float, requests: RequestShape, share_of_rate: float) -> float:
    """The batch that gives this share (below 1) of the request rate that `batch` gives.

    The rate of a batch b is b / (O x step(b)), so b x step(batch) = share x batch x step(b). For a dense
    model b = u B alpha / (alpha + (1 - u) B S), 0.45 to 0.75 of B for the shipped hardware.
    """
    each = step_share_ms(timing, requests)
    step = timing.read_ms(batch) + batch * each
    reached = share_of_rate * batch
    found = batch
    for _ in range(NEWTON_STEPS):
        missing = reached * (timing.read_ms(found) + found * each) - found * step
        slope = reached * (each + _experts_slope_ms(timing, found)) - step
        found -= missing / slope
        if abs(missing / slope) <= found * CLOSE:
            break
    return found


def _experts_slope_ms(timing: StepTime, batch: float) -> float:
    """What one request more adds to reading experts."""
    if timing.experts_ms == 0:
        return 0.0
    return -timing.experts_ms * log(timing.unread) * timing.unread**batch

"""What requests add to a step, and the batch that keeps a time between tokens: the queue model's arithmetic.

One request of I prompt and O output tokens adds to a step

    S = beta x (I + O) / (O + 1) + gamma x (I + O / 2)        milliseconds

because it is computed in O + 1 steps and its context is I + O / 2 tokens on average. A batch of B takes
alpha + B x S per step, which is the mean time between two tokens.
"""

from __future__ import annotations

from typing import Protocol

from sizing.capacity.timing import StepTime

ROOM_ABOVE_BATCH = 1.15
"""`--max-num-seqs` over the batch that meets the service level: the middle of 1.1 to 1.2. Less would queue
requests that could still be served in time. vLLM's default of 1024 never queues before latency is lost, so an
autoscaler that watches the queue sees nothing: on a 70B over four H100s, 256 at once give 14 % more requests
per second than the batch of 119, and twice the time per token."""


class RequestShape(Protocol):
    """Tokens of a typical request."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...


def step_share_ms(timing: StepTime, requests: RequestShape) -> float:
    """S: what one request adds to each step, milliseconds."""
    prompt, output = requests.prompt_tokens, requests.output_tokens
    return timing.beta_ms * (prompt + output) / (output + 1) + timing.gamma_ms * (prompt + output / 2)


def step_seconds(timing: StepTime, batch: float, requests: RequestShape) -> float:
    """Mean time between two tokens with a batch of this size."""
    return (timing.alpha_ms + batch * step_share_ms(timing, requests)) / 1000


def batch_at(timing: StepTime, itl_seconds: float, requests: RequestShape) -> float:
    """B*: the batch with which a step takes `itl_seconds` on average."""
    return (itl_seconds * 1000 - timing.alpha_ms) / step_share_ms(timing, requests)

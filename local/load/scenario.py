"""What a load run sends: phases of arrivals and the lengths of prompts and replies, as a data file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCENARIOS = Path(__file__).parent / "scenarios"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ScenarioError(ValueError):
    """The file is missing or cannot be run; the text has path, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lengths(_Section):
    """A log-normal distribution of token counts, cut at both ends."""

    median: Positive = Field(description="tokens, above 0")
    sigma: float = Field(ge=0, le=3, description="standard deviation of the logarithm; 0 makes all equal")
    smallest: int = Field(ge=1, description="tokens at least")
    largest: int = Field(ge=1, le=100_000, description="tokens at most")


class Phase(_Section):
    """A stretch of time with one arrival rate."""

    name: str = Field(min_length=1)
    seconds: float = Field(gt=0, le=3600, description="above 0, at most 3600")
    requests_per_second: float = Field(ge=0, le=1000, description="arrivals per second, 0 to 1000")


class Limits(_Section):
    """What a run may never exceed, whatever the phases say."""

    requests: int = Field(ge=1, le=1_000_000, description="requests in all")
    request_seconds: Positive = Field(description="seconds until a request is given up as failed")
    settle_seconds: float = Field(
        ge=0, le=1800, description="how long to watch after the last phase for the return to the minimum"
    )


class Scenario(_Section):
    """A load run."""

    name: str = Field(min_length=1)
    description: str
    model: str = Field(min_length=1, description="name of a model behind the gateway")
    seed: int = Field(ge=0)
    burstiness: Positive = Field(
        description="coefficient of variation of the times between arrivals: 1 is Poisson, more is burstier"
    )
    prompt_tokens: Lengths = Field(description="of each input")
    output_tokens: Lengths | None = Field(
        default=None, description="only for a model that generates, which needs it"
    )
    inputs: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="texts or documents of a request to a model that embeds or reranks, 1 to 10000",
    )
    phases: tuple[Phase, ...] = Field(min_length=1)
    retries: int = Field(default=0, ge=0, le=10, description="how often a refused request is sent again")
    limits: Limits

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)


def load_scenario(name: str) -> Scenario:
    """The scenario called `name` in scenarios/, or in the file of that path. Raises ScenarioError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SCENARIOS.glob("*.yaml")))
        raise ScenarioError(
            f"scenario {name!r}: no file {path}; shipped are {known}, or give a path to a .yaml"
        )
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        problems = (
            f"{path}: {'.'.join(map(str, row['loc']))}: {row['msg']}, got {row['input']!r}"
            for row in error.errors()
        )
        raise ScenarioError("\n".join(problems)) from None

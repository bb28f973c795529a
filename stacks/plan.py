"""What an environment amounts to before anything exists: machines, replicas and dollars per hour.

`python -m stacks.plan <stack>` prints it; that needs pydantic, PyYAML and rich, no Pulumi and no credentials.
The program prints the same figures in a preview and exports them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date

from rich.console import Console
from rich.table import Table

from infra.machines import Machine, machine
from stacks.capacity import cheapest_machine, machines_needed
from stacks.config import Model, NodePool, Stack
from stacks.load import from_file
from stacks.problems import StackError
from stacks.sizing import capacity_of, replicas_expected, replicas_idle


@dataclass(frozen=True)
class ModelPlan:
    """One model: what a replica runs on, what it takes, and how many there are.

    max_num_seqs: requests that a replica computes at once. requests_per_second: what one replica is planned
    for. timing: whether these rest on measured or on estimated step times. replicas_min: without load, hot
    spares included. replicas_expected: under expected_load.
    """

    name: str
    model: str
    engine: str
    node_pool: str
    machine: str
    accelerator: str
    tensor_parallel: int
    max_num_seqs: int
    requests_per_second: float
    timing: str
    replicas_min: int
    replicas_expected: int
    replicas_max: int

    @property
    def line(self) -> str:
        """What one replica takes, and so how many the expected load needs."""
        sleeps = ", may sleep" if self.replicas_min == 0 else ""
        replicas = "1 replica" if self.replicas_expected == 1 else f"{self.replicas_expected} replicas"
        return (
            f"{self.name}: {self.requests_per_second:.2f} requests/s and {self.max_num_seqs} at once per "
            f"replica ({self.timing} step times), {replicas} under expected_load{sleeps}"
        )


@dataclass(frozen=True)
class PoolPlan:
    """One node pool: machines and their cost with every model at its minimum and at its maximum.

    machines_min, machines_max: with the warm ones. gpus_used_min: GPUs that replicas hold at minimum. Whole
    machines are charged, so every other GPU of machines_min is paid for and idle.
    """

    name: str
    machine: str
    usd_per_machine_hour: float
    gpus_per_machine: int
    machines_min: int
    machines_expected: int
    machines_max: int
    machines_warm: int
    gpus_used_min: int

    @property
    def usd_per_hour_min(self) -> float:
        return self.machines_min * self.usd_per_machine_hour

    @property
    def usd_per_hour_expected(self) -> float:
        return self.machines_expected * self.usd_per_machine_hour

    @property
    def usd_per_hour_max(self) -> float:
        return self.machines_max * self.usd_per_machine_hour

    @property
    def usd_per_hour_warm(self) -> float:
        """What the warm machines cost."""
        return self.machines_warm * self.usd_per_machine_hour

    @property
    def gpus_idle_min(self) -> int:
        """GPUs at minimum that are in use by nobody, on machines that some replica keeps from being empty."""
        return (self.machines_min - self.machines_warm) * self.gpus_per_machine - self.gpus_used_min

    @property
    def usd_per_hour_idle_min(self) -> float:
        """The share of those GPUs in the price of their machines."""
        return self.gpus_idle_min / self.gpus_per_machine * self.usd_per_machine_hour


@dataclass(frozen=True)
class Plan:
    """A whole environment. Prices are on-demand list prices of GPU machines; nothing else is counted yet."""

    models: tuple[ModelPlan, ...]
    pools: tuple[PoolPlan, ...]
    price_region: str
    prices_as_of: date

    @property
    def usd_per_hour_min(self) -> float:
        return sum(pool.usd_per_hour_min for pool in self.pools)

    @property
    def usd_per_hour_expected(self) -> float:
        return sum(pool.usd_per_hour_expected for pool in self.pools)

    @property
    def usd_per_hour_max(self) -> float:
        return sum(pool.usd_per_hour_max for pool in self.pools)

    def lines(self) -> list[str]:
        """The plan in a few lines of plain text, for Pulumi's log."""
        return [
            *(
                f"{model.name}: {model.model}, {model.replicas_min} to {model.replicas_max} replicas, each "
                f"{model.tensor_parallel} x {model.accelerator} in {model.machine} (pool {model.node_pool})"
                for model in self.models
            ),
            *(model.line for model in self.models),
            *(line for pool in self.pools for line in _pool_lines(pool)),
            f"GPU machines: {self.usd_per_hour_min:.2f} $/h with all models at minimum, "
            f"{self.usd_per_hour_expected:.2f} $/h under expected_load, "
            f"{self.usd_per_hour_max:.2f} $/h at maximum ({self._prices()})",
        ]

    def exported(self) -> dict[str, object]:
        """The plan as plain values, for a stack output."""
        return {
            "models": [asdict(model) for model in self.models],
            "node_pools": [asdict(pool) for pool in self.pools],
            "usd_per_hour_min": round(self.usd_per_hour_min, 4),
            "usd_per_hour_expected": round(self.usd_per_hour_expected, 4),
            "usd_per_hour_max": round(self.usd_per_hour_max, 4),
            "price_region": self.price_region,
            "prices_as_of": self.prices_as_of.isoformat(),
        }

    def _prices(self) -> str:
        return f"on-demand list prices of {self.price_region}, {self.prices_as_of.isoformat()}"

    def show(self, console: Console) -> None:
        """Prints the plan as tables."""
        models = Table(title="Models", title_justify="left")
        for heading in ("name", "model", "replica needs", "in machine"):
            models.add_column(heading, overflow="fold")
        models.add_column("replicas", justify="right")
        for model in self.models:
            models.add_row(
                model.name,
                model.model,
                f"{model.tensor_parallel} x {model.accelerator}",
                model.machine,
                f"{model.replicas_min} to {model.replicas_max}",
            )
        pools = Table(title="GPU machines", title_justify="left", show_footer=True)
        pools.add_column("pool", footer="total", overflow="fold")
        pools.add_column("machine", no_wrap=True)
        pools.add_column("$/h each", justify="right")
        pools.add_column("machines", justify="right")
        pools.add_column("$/h minimum", justify="right", footer=f"{self.usd_per_hour_min:.2f}")
        pools.add_column("$/h maximum", justify="right", footer=f"{self.usd_per_hour_max:.2f}")
        for pool in self.pools:
            pools.add_row(
                pool.name,
                pool.machine,
                f"{pool.usd_per_machine_hour:.2f}",
                f"{pool.machines_min} to {pool.machines_max}",
                f"{pool.usd_per_hour_min:.2f}",
                f"{pool.usd_per_hour_max:.2f}",
            )
        console.print(models)
        console.print(pools)
        for model in self.models:
            console.print(model.line)
        for line in (line for pool in self.pools for line in _pool_lines(pool)):
            console.print(line)
        console.print(f"Under expected_load: {self.usd_per_hour_expected:.2f} $/h.")
        console.print(f"GPU machines only, at {self._prices()}. Nothing was asked and nothing was changed.")


def machine_for(pool: NodePool, models: tuple[Model, ...]) -> Machine:
    """The machine that `pool` buys for `models`: the cheapest of its types that holds the largest replica.

    The stack must have passed stacks.checks, which refuses a pool where no type does.
    """
    gpus = max((model.tensor_parallel for model in models if model.node_pool == pool.name), default=1)
    chosen = cheapest_machine((machine(name) for name in pool.machine_types), gpus)
    if chosen is None:
        raise ValueError(f"no machine type of pool {pool.name} has {gpus} GPUs")
    return chosen


def make_plan(stack: Stack) -> Plan:
    """The plan of a checked stack."""
    pools = {pool.name: pool for pool in stack.node_pools}
    machines = {name: machine_for(pool, stack.models) for name, pool in pools.items()}
    return Plan(
        models=tuple(
            _plan_model(model, pools[model.node_pool], machines[model.node_pool]) for model in stack.models
        ),
        pools=tuple(_plan_pool(pool, machines[pool.name], stack.models) for pool in stack.node_pools),
        price_region=", ".join(sorted({chosen.region for chosen in machines.values()})),
        prices_as_of=min(chosen.as_of for chosen in machines.values()),
    )


def _plan_model(model: Model, pool: NodePool, chosen: Machine) -> ModelPlan:
    capacity = capacity_of(model, pool.accelerator)
    return ModelPlan(
        name=model.name,
        model=model.model,
        engine=model.engine,
        node_pool=model.node_pool,
        machine=chosen.name,
        accelerator=pool.accelerator,
        tensor_parallel=model.tensor_parallel,
        max_num_seqs=capacity.max_num_seqs,
        requests_per_second=capacity.planned_rate,
        timing=capacity.basis,
        replicas_min=replicas_idle(model),
        replicas_expected=replicas_expected(model, capacity),
        replicas_max=model.replicas.max,
    )


def _plan_pool(pool: NodePool, chosen: Machine, models: tuple[Model, ...]) -> PoolPlan:
    served = [model for model in models if model.node_pool == pool.name]
    at_minimum = [model.tensor_parallel for model in served for _ in range(replicas_idle(model))]
    expected = [
        model.tensor_parallel
        for model in served
        for _ in range(replicas_expected(model, capacity_of(model, pool.accelerator)))
    ]
    at_maximum = [model.tensor_parallel for model in served for _ in range(model.replicas.max)]
    gpus = chosen.accelerator_count
    return PoolPlan(
        name=pool.name,
        machine=chosen.name,
        usd_per_machine_hour=chosen.price_per_hour_usd,
        gpus_per_machine=gpus,
        machines_min=max(pool.min_nodes, machines_needed(at_minimum, gpus)) + pool.warm_nodes,
        machines_expected=min(machines_needed(expected, gpus) + pool.warm_nodes, pool.max_nodes),
        # At its limit a pool has no room for warm machines: the last replicas have taken their place.
        machines_max=min(machines_needed(at_maximum, gpus) + pool.warm_nodes, pool.max_nodes),
        machines_warm=pool.warm_nodes,
        gpus_used_min=sum(at_minimum),
    )


def _pool_lines(pool: PoolPlan) -> Iterator[str]:
    """What of a pool is paid for without serving anybody, if anything."""
    if pool.machines_warm > 0:
        yield (
            f"{pool.name}: {pool.machines_warm} x {pool.machine} warm for {pool.usd_per_hour_warm:.2f} $/h: "
            "the next replica finds a machine at once"
        )
    if pool.gpus_idle_min > 0:
        in_use = pool.gpus_used_min + pool.gpus_idle_min
        yield (
            f"{pool.name}: {pool.gpus_idle_min} of {in_use} GPUs idle at minimum for "
            f"{pool.usd_per_hour_idle_min:.2f} $/h: {pool.machine} is charged whole. Smaller "
            "machines, or more models in this pool, avoid it"
        )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m stacks.plan <stack>, such as: python -m stacks.plan local", file=sys.stderr)
        return 2
    try:
        stack = from_file(arguments[0])
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    make_plan(stack).show(Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

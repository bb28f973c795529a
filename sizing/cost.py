"""What it costs to serve: machines for replicas, their price, and that of a million tokens. Pure arithmetic.

Whole machines are what is paid for. A pool's machines are charged to the models on them by the GPUs that each
holds, so idle GPUs are paid for by those who use the rest. Machines kept warm, or kept by a pool's minimum
without a replica on them, are charged to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sizing.hardware.cluster_prices import ClusterPrice
from sizing.hardware.machines import Machine
from sizing.packing import cheapest_machine, machines_needed

HOURS_PER_MONTH = 730
"""8760 hours of a year over 12: what clouds bill a month as."""

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Span:
    """An amount without load, under the expected load, and at the most that autoscalers may reach."""

    minimum: float
    expected: float
    maximum: float

    def __add__(self, other: Span) -> Span:
        return Span(
            self.minimum + other.minimum, self.expected + other.expected, self.maximum + other.maximum
        )

    def times(self, factor: float) -> Span:
        return Span(self.minimum * factor, self.expected * factor, self.maximum * factor)

    @property
    def per_month(self) -> Span:
        """Of an amount per hour: the same for a month."""
        return self.times(HOURS_PER_MONTH)


NOTHING = Span(0, 0, 0)


def always(amount: float) -> Span:
    """An amount that does not depend on load."""
    return Span(amount, amount, amount)


def total(spans: Iterable[Span]) -> Span:
    return sum(spans, NOTHING)


@dataclass(frozen=True)
class ReplicaCounts:
    """Replicas of one model, each with `gpus` GPUs: without load, under the expected load, at most."""

    gpus: int
    minimum: int
    expected: int
    maximum: int


@dataclass(frozen=True)
class Purchase:
    """How a pool buys machines.

    machines: the types it may buy, with their prices. capacity: how many nodes at most are reserved,
    on-demand or spot, in order of preference; the types in one key have one limit. min_nodes, max_nodes:
    machines at least and at most. warm_nodes: kept ready beyond those in use. disk_usd_per_hour: the disk
    attached to each machine.
    """

    machines: tuple[Machine, ...]
    capacity: Mapping[tuple[str, ...], int]
    min_nodes: int
    max_nodes: int
    warm_nodes: int
    disk_usd_per_hour: float


@dataclass(frozen=True)
class PoolCost:
    """Machines of a pool and what they cost per hour.

    machine: the type that is bought as long as there is some. machines: the warm ones included.
    warm_machines, warm_usd: the warm ones alone. usd: all of it, at maximum with the dearest type and way of
    buying. by_model: what each model on the pool is charged. gpus: that replicas hold.
    """

    machine: Machine
    machines: Span
    warm_machines: Span
    usd: Span
    warm_usd: Span
    by_model: Mapping[str, Span]
    gpus: Span


def machine_usd(machine: Machine, capacity: str) -> float:
    """Price per hour when bought like this.

    Spot without a known price is taken at the on-demand price, and so is a reservation: its discount is
    between the buyer and the cloud.
    """
    if capacity == "spot" and machine.spot_price_per_hour_usd is not None:
        return machine.spot_price_per_hour_usd
    return machine.price_per_hour_usd


def pool_cost(purchase: Purchase, replicas: Mapping[str, ReplicaCounts]) -> PoolCost:
    """Machines and cost of one pool for these replicas by model.

    Minimum and expected: the cheapest type that holds the largest replica, bought in order of preference.
    Maximum: whichever type and ways cost most, because autoscalers take those when the others are sold out.
    Raises ValueError if no type holds the largest replica.
    """
    largest = max((counts.gpus for counts in replicas.values()), default=1)
    fitting = [machine for machine in purchase.machines if machine.accelerator_count >= largest]
    chosen = cheapest_machine(fitting, largest)
    if chosen is None:
        raise ValueError(f"no machine type has {largest} GPUs")
    minimum, expected = (
        _Level.of(
            purchase,
            chosen,
            _preferred(purchase, chosen),
            replicas,
            {name: getattr(c, level) for name, c in replicas.items()},
        )
        for level in ("minimum", "expected")
    )
    maximum = max(
        (
            _Level.of(
                purchase,
                machine,
                sorted(
                    (
                        (max(machine_usd(machine, kind) for kind in kinds), nodes)
                        for kinds, nodes in purchase.capacity.items()
                    ),
                    reverse=True,
                ),
                replicas,
                {name: counts.maximum for name, counts in replicas.items()},
            )
            for machine in fitting
        ),
        key=lambda level: level.usd,
    )
    levels = (minimum, expected, maximum)
    return PoolCost(
        machine=chosen,
        machines=Span(*(level.machines for level in levels)),
        warm_machines=Span(*(level.warm_machines for level in levels)),
        usd=Span(*(level.usd for level in levels)),
        warm_usd=Span(*(level.warm_machines * level.usd_each for level in levels)),
        by_model={name: Span(*(level.charged(name) for level in levels)) for name in replicas},
        gpus=Span(*(sum(level.gpus.values()) for level in levels)),
    )


@dataclass(frozen=True)
class Bill:
    """Machines of a pool, warm ones included, and US dollars per hour for them and their disks."""

    machines: int
    usd: float


def bill_alone(purchase: Purchase, machine: Machine, gpus: int, replicas: int) -> Bill:
    """The bill for so many replicas of one model, `gpus` GPUs each, with nothing else on the pool.

    As pool_cost counts what is expected, on machines of that type.
    """
    counts = {"": ReplicaCounts(gpus, replicas, replicas, replicas)}
    level = _Level.of(purchase, machine, _preferred(purchase, machine), counts, {"": replicas})
    return Bill(level.machines, level.usd)


def _preferred(purchase: Purchase, machine: Machine) -> list[tuple[float, int]]:
    """Price of the machine in each way of buying, in order of preference, and for how many it holds."""
    return [(machine_usd(machine, kinds[0]), nodes) for kinds, nodes in purchase.capacity.items()]


def _bill(machines: int, offers: Iterable[tuple[float, int]]) -> float:
    """What that many machines cost per hour. offers: a price, and for how many machines it holds, in turn."""
    usd = 0.0
    for price, nodes in offers:
        usd += min(machines, nodes) * price
        machines -= min(machines, nodes)
    return usd


@dataclass(frozen=True)
class _Level:
    """A pool with a certain number of replicas. gpus: that the replicas of each model hold."""

    machines: int
    warm_machines: int
    usd: float
    gpus: Mapping[str, int]

    @staticmethod
    def of(
        purchase: Purchase,
        machine: Machine,
        offers: Iterable[tuple[float, int]],
        replicas: Mapping[str, ReplicaCounts],
        numbers: Mapping[str, int],
    ) -> _Level:
        sizes = [replicas[name].gpus for name, number in numbers.items() for _ in range(number)]
        needed = machines_needed(sizes, machine.accelerator_count)
        in_use = min(max(purchase.min_nodes, needed), purchase.max_nodes)
        # At its limit a pool has no room for warm machines: the last replicas have taken their place.
        machines = min(in_use + purchase.warm_nodes, purchase.max_nodes)
        return _Level(
            machines=machines,
            warm_machines=machines - in_use,
            usd=_bill(machines, offers) + machines * purchase.disk_usd_per_hour,
            gpus={name: number * replicas[name].gpus for name, number in numbers.items()},
        )

    @property
    def usd_each(self) -> float:
        """Of a machine on average; bought in several ways, they need not cost the same."""
        return self.usd / self.machines if self.machines > 0 else 0.0

    def charged(self, name: str) -> float:
        """The model's share of the machines in use, by the GPUs it holds."""
        held = sum(self.gpus.values())
        in_use = (self.machines - self.warm_machines) * self.usd_each
        return in_use * self.gpus[name] / held if held > 0 else 0.0


@dataclass(frozen=True)
class TokenPrice:
    """US dollars per million tokens: of replies alone, and of prompts and replies together.

    output_usd: None for a model that generates none.
    """

    output_usd: float | None
    total_usd: float


def token_price(
    usd_per_hour: float,
    requests_per_second: float,
    prompt_tokens: int,
    output_tokens: int,
    utilization: float,
) -> TokenPrice:
    """Price of a million tokens of a replica that costs `usd_per_hour` and could serve that many requests.

    price = usd_per_hour / (tokens per second x 3600) x 10^6 / utilization. The whole cost is put on the
    tokens that are counted, so the two prices are two views of one bill, not parts of it.
    """
    requests_per_hour = requests_per_second * SECONDS_PER_HOUR * utilization
    per_request = usd_per_hour / requests_per_hour * 1e6
    return TokenPrice(
        output_usd=per_request / output_tokens if output_tokens else None,
        total_usd=per_request / (prompt_tokens + output_tokens),
    )


def nat_usd(price: ClusterPrice, gateways: int, machines: Span) -> Span:
    """NAT per hour: its gateways, and on Google Cloud each machine behind them up to a limit."""
    limit = price.nat_machines_charged
    charged = Span(min(machines.minimum, limit), min(machines.expected, limit), min(machines.maximum, limit))
    return always(gateways * price.nat_gateway_usd_per_hour) + charged.times(price.nat_usd_per_machine_hour)

"""The comparison as a document, a table in Markdown, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from local.affinity_benchmark.measure import Measured, Plan
from local.affinity_benchmark.servers import ENGINE
from local.affinity_benchmark.workload import CASES, Case
from local.load.statistics import percentile
from serving.gateway.affinity import BALANCE_PER_CENT

HEAD = """# What `prompt_cache_key` gains and costs

Written by `make affinity-bench`; do not edit. {date}, {machine}.

{replicas} emulated replicas of {model} (fp8) on an L4 each, behind an Envoy with the gateway's own clusters.
Real: Envoy and what it chooses; the blocks of the prefix cache, and when they are forgotten. Imitated: the
GPU; its step times are estimated. The same users ask at the same times under each policy, {rounds} x
{seconds:g} s in turns, and each measurement begins with prompts that no cache has seen.

- **least request**: what the gateway does with requests that have no `prompt_cache_key`.
- **hash**: what it does with those that have one. A replica that has more than {balance} % of the mean in
  flight passes the request on.
- **hash, 200 %** and **hash, no bound**: for comparison, with a looser bound and with none.

*Hits*: prompt tokens that the cache had. *Imbalance*: prompt tokens that the busiest replica had to compute,
over the mean of all.

![time to first token](affinity.png)
"""

TABLE = """
## {title}

| | requests | hits | TTFT p50 | p95 | p99 | imbalance | failed |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One policy in one case. ttft_*: seconds. imbalance: 1 is even."""

    case: str
    policy: str
    requests: int
    hit_share: float
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    imbalance: float
    failed: int


def rows(results: Sequence[Measured]) -> list[Row]:
    return [
        Row(
            case=result.case.name,
            policy=result.policy,
            requests=len(result.first_token),
            hit_share=result.hit / result.queried,
            ttft_p50=_share(result, 0.5),
            ttft_p95=_share(result, 0.95),
            ttft_p99=_share(result, 0.99),
            imbalance=imbalance(result.computed),
            failed=result.failed,
        )
        for result in results
    ]


def _share(result: Measured, share: float) -> float:
    found = percentile(result.first_token, share)
    assert found is not None, "no request was answered"
    return found


def imbalance(computed: Sequence[Sequence[float]]) -> float:
    """Mean over the rounds of what the busiest replica computed over the mean of all."""
    shares = [max(replicas) * len(replicas) / sum(replicas) for replicas in computed]
    return sum(shares) / len(shares)


def document(plan: Plan, results: Sequence[Measured], date: str, machine: str) -> dict[str, object]:
    return {
        "date": date,
        "machine": machine,
        "plan": asdict(plan),
        "engine": list(ENGINE),
        "balance_per_cent": BALANCE_PER_CENT,
        "rows": [asdict(row) for row in rows(results)],
        "measured": [
            {
                "case": result.case.name,
                "policy": result.policy,
                "computed_tokens": result.computed,
                "first_token_ms": [round(1000 * seconds) for seconds in sorted(result.first_token)],
            }
            for result in results
        ],
    }


def markdown(plan: Plan, results: Sequence[Measured], date: str, machine: str) -> str:
    found = rows(results)
    text = HEAD.format(
        date=date,
        machine=machine,
        replicas=plan.replicas,
        model=ENGINE[0],
        rounds=plan.rounds,
        seconds=plan.seconds,
        balance=BALANCE_PER_CENT,
    )
    for case in CASES:
        of_case = [row for row in found if row.case == case.name]
        text += TABLE.format(title=case.title) + "".join(map(_line, of_case)) + _verdict(of_case)
    return text


def _line(row: Row) -> str:
    cells = (
        row.policy,
        str(row.requests),
        f"{row.hit_share:.0%}",
        f"{row.ttft_p50:.2f} s",
        f"{row.ttft_p95:.2f} s",
        f"{row.ttft_p99:.2f} s",
        f"{row.imbalance:.2f}",
        str(row.failed),
    )
    return f"| {' | '.join(cells)} |\n"


def _verdict(found: Sequence[Row]) -> str:
    """What a key changes here; a loss is said like a gain."""
    without, bounded = found[:2]
    return (
        f"\nWith a key {bounded.hit_share:.0%} of the prompt tokens are in the cache instead of "
        f"{without.hit_share:.0%}; the first token "
        f"takes {_change(without.ttft_p50, bounded.ttft_p50)} at the median and "
        f"{_change(without.ttft_p95, bounded.ttft_p95)} at p95, and the busiest replica computes "
        f"{bounded.imbalance:.2f} times the mean instead of {without.imbalance:.2f}.\n"
    )


def _change(before: float, after: float) -> str:
    """How `after` compares with `before`, in words."""
    change = after / before - 1
    return f"{abs(change):.0%} {'longer' if change > 0 else 'less'}"


def of(results: Sequence[Measured], case: Case) -> list[Measured]:
    """The results of one case, in the order of the policies."""
    return [result for result in results if result.case is case]

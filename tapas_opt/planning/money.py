"""What a run costs and brings, at low, base and high assumptions (docs/studies.md has each formula)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tapas_opt.planning.outcome import Outcome
from tapas_opt.planning.study import Assumed, Money

__all__ = ["costs", "money_of", "worth_per_h"]

YEAR_H = 8766.0
Level = Literal["low", "base", "high"]
LEVELS: tuple[Level, ...] = ("low", "base", "high")
Told = dict[str, dict[str, float | None]]
"""By figure and level."""

GROUP = ("site", "oversubscription", "saas_share", "failure", "policy")


def costs(outcomes: Sequence[Outcome], money: Money) -> list[dict[str, Any]]:
    """For each room, filling, failure and policy the mean over its runs: each figure as ``{"low", "base", "high"}``.

    ``runs`` says of how many, ``currency`` in what. A figure that no run can say, such as cost per token where none is
    served, is None.
    """
    groups: dict[tuple[Any, ...], list[Told]] = {}
    for outcome in outcomes:
        groups.setdefault(tuple(outcome[name] for name in GROUP), []).append(money_of(outcome, money))
    return [
        {**dict(zip(GROUP, group, strict=True)), "runs": len(runs), "currency": money.currency, **_mean(runs)}
        for group, runs in groups.items()
    ]


def money_of(outcome: Outcome, money: Money) -> Told:
    """Figures of a run in the study's currency.

    Returns
    -------
    dict
        ``cost_per_h`` and what it is made of (``building_per_h``, ``servers_per_h``, ``energy_per_h``,
        ``penalty_per_h``), ``cost_per_server_h``, ``cost_per_million_tokens``, ``stranded_per_h``,
        ``revenue_per_h`` and ``margin_per_h``; the margin is low at low revenue and high costs.
    """
    at: dict[Level, dict[str, float | None]] = {level: _at(outcome, money, level) for level in LEVELS}
    told: Told = {name: {level: at[level][name] for level in LEVELS} for name in at["base"]}
    contrary = {"low": "high", "base": "base", "high": "low"}
    revenue, cost = told["revenue_per_h"], told["cost_per_h"]
    told["margin_per_h"] = {level: _less(revenue[level], cost[contrary[level]]) for level in LEVELS}
    return told


def worth_per_h(worth: Mapping[str, Any], money: Money) -> dict[str, float | None]:
    """What a step of a limit brings in an hour by the VMs that it lets in, from the least to the most that is proven.

    ``low`` and ``high`` are over both the interval and the assumed revenues; ``base`` is of what the two plans differ
    by, which lies between.
    """
    ends, revenue = (worth["least"], worth["most"]), money.revenue_server_h
    reached = [vms * price for vms in ends if vms is not None for price in (revenue.low, revenue.high)]
    proven = None not in ends
    return {
        "low": min(reached) if proven else None,
        "base": worth["found"] * revenue.base,
        "high": max(reached) if proven else None,
    }


def _at(outcome: Outcome, money: Money, level: Level) -> dict[str, float | None]:
    """Every price at one level."""

    def price(assumed: Assumed) -> float:
        return float(getattr(assumed, level))

    metrics, hours = outcome["metrics"], outcome["hours"]
    placed_frac = 1.0 - outcome["vms_rejected_frac"]
    saas_h, iaas_h = outcome["saas_vm_h"], outcome["iaas_vm_h"]
    lost_h = saas_h * (metrics["saas_performance_loss_frac"] or 0.0)
    lost_h += iaas_h * placed_frac * (metrics["iaas_performance_loss_frac"] or 0.0)
    building = outcome["built_kw"] * price(money.built_kw) / (money.building_years * YEAR_H)
    servers = outcome["servers"] * price(money.server) / (money.server_years * YEAR_H)
    energy = metrics["energy_kwh"] / hours * price(money.pue) * price(money.energy_kwh)
    penalty = lost_h / hours * price(money.sla_penalty_server_h)
    cost = building + servers + energy + penalty
    saas_frac = saas_h / (saas_h + iaas_h) if saas_h + iaas_h else 0.0
    million_per_h = outcome["served_tokens"] / hours / 1e6
    stranded_kw = max(0.0, outcome["built_kw"] - outcome["peak_kw"])
    return {
        "cost_per_h": cost,
        "building_per_h": building,
        "servers_per_h": servers,
        "energy_per_h": energy,
        "penalty_per_h": penalty,
        "cost_per_server_h": cost / outcome["servers"],
        "cost_per_million_tokens": saas_frac * cost / million_per_h if million_per_h > 0.0 else None,
        "stranded_per_h": stranded_kw * price(money.stranded_kw_year) / YEAR_H,
        "revenue_per_h": (saas_h + iaas_h) * placed_frac / hours * price(money.revenue_server_h),
    }


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _mean(runs: Sequence[Told]) -> Told:
    return {name: {level: _mean_of([run[name][level] for run in runs]) for level in LEVELS} for name in runs[0]}


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

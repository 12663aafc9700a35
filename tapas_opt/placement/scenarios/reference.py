"""CVaR in Pyomo: the textbook witness of :mod:`tapas_opt.placement.scenarios.formulation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tapas_opt.placement.scenarios.problem import WORST, Scenarios, Tail

__all__ = ["Share", "add_tails"]


@dataclass(frozen=True, slots=True)
class Share:
    """A Pyomo variable, the server whose domains it draws on, and numbers of its type and hardware."""

    variable: Any
    server: int
    kind: int
    hardware: int


def add_tails(
    m: Any, scenarios: Scenarios | None, tails: Sequence[Tail], slots: Sequence[str], shares: Sequence[Share]
) -> None:
    """The mean of the worst days within the limit, times their number; for each family, domain and slot.

    tail · threshold + Σ_s beyond[s] ≤ tail · limit, and load[s] − threshold − beyond[s] ≤ 0   ∀ day s
    """
    import pyomo.environ as pyo  # noqa: PLC0415  (a second to import; only the reference needs it)

    if scenarios is None:
        return
    of = {tail.family.constraint.value: tail for tail in tails}
    at = {
        (f, domain, slot): (tail, d, t)
        for f, tail in of.items()
        for d, domain in enumerate(tail.family.domains)
        for t, slot in enumerate(slots)
        if tail.can_bind[d, t]
    }
    most = {key: int(tail.allowed[d, t]) for key, (tail, d, t) in at.items()}
    m.threshold = pyo.Var(list(at), domain=pyo.Integers, bounds=lambda _, *key: (0, most[key] // scenarios.tail))
    by_day = [(f, domain, day, slot) for f, domain, slot in at for day in scenarios.days]
    m.beyond = pyo.Var(by_day, domain=pyo.Integers, bounds=lambda _, f, domain, day, slot: (0, most[f, domain, slot]))

    def rule(m: Any, f: str, domain: str, day: str, slot: str) -> Any:
        tail, d, t = at[f, domain, slot]
        if day == WORST:
            beyond = sum(m.beyond[f, domain, each, slot] for each in scenarios.days)
            return scenarios.tail * m.threshold[f, domain, slot] + beyond <= most[f, domain, slot]
        s = scenarios.days.index(day)
        base = int(tail.family.base[d, s * len(slots) + t])
        above = m.threshold[f, domain, slot] + m.beyond[f, domain, day, slot]
        return _drawn(scenarios, tail, shares, d, s, t) - above <= -base

    rows = [(f, domain, day, slot) for f, domain, slot in at for day in (WORST, *scenarios.days)]
    m.cvar_budget = pyo.Constraint(rows, rule=rule)


def _drawn(scenarios: Scenarios, tail: Tail, shares: Sequence[Share], d: int, s: int, t: int) -> Any:
    """What is drawn on one domain on one day in one slot."""
    draw = tail.family.counted(scenarios.type_power_w, scenarios.type_airflow_cfm)
    return sum(
        permille / 1000 * int(draw[share.kind, share.hardware, s, t]) * share.variable
        for share in shares
        for domain, permille in zip(
            tail.family.member[share.server], tail.family.share_permille[share.server], strict=True
        )
        if domain == d
    )

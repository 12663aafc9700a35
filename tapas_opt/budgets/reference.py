"""The shared budget rows in Pyomo: the textbook witness of :mod:`tapas_opt.budgets.formulation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE

__all__ = ["Term", "add_budgets", "drawn"]


@dataclass(frozen=True, slots=True)
class Term:
    """One Pyomo variable, the server whose domains it draws on, and what a unit of it draws in each slot."""

    variable: Any
    server: int
    power_w: Sequence[int]
    airflow_cfm: Sequence[int]


def add_budgets(
    model: Any, numbers: BudgetNumbers, terms: Sequence[Term], excess: Mapping[Constraint, Any] | None = None
) -> None:
    """Σ share · draw · x ≤ limit − base (+ excess)   ∀ family, domain, slot that can bind."""
    import pyomo.environ as pyo  # noqa: PLC0415  (a second to import; only the reference needs it)

    for family in numbers.families:
        declared = None if excess is None else excess.get(family.constraint)

        def rule(_: Any, domain: str, slot: str, family: BudgetFamily = family, declared: Any = declared) -> Any:
            d, t = family.domains.index(domain), numbers.slots.index(slot)
            if not family.needs_row[d, t]:
                return pyo.Constraint.Skip
            allowed = int(family.room[d, t]) + (declared[domain] if declared is not None else 0)
            left = drawn(family, terms, d, t)
            if isinstance(left - allowed, int | float):  # nothing to decide here
                return pyo.Constraint.Feasible if left <= allowed else pyo.Constraint.Infeasible
            return left <= allowed

        rows = pyo.Constraint(list(family.domains), list(numbers.slots), rule=rule)
        model.add_component(family.constraint.value, rows)


def drawn(family: BudgetFamily, terms: Sequence[Term], domain: int, slot: int) -> Any:
    """Pyomo expression of what the terms draw on one domain in one slot."""
    return sum(
        share / 1000 * family.counted(term.power_w, term.airflow_cfm)[slot] * term.variable
        for term in terms
        for member, share in zip(family.member[term.server], family.share_permille[term.server], strict=True)
        if member == domain and member != NONE
    )

"""What a real step of a limit is worth: solved before and after, with what neither solve has proven.

Shadow prices hold for small steps of a relaxation. Whoever quotes the worth of 50 kW asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tapas_opt.domain.result import Constraint, Result
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.worker import Workers
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationProblem
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.solve import solve

__all__ = ["Worth", "stepped", "worth_of"]

DEMANDS: Mapping[type, tuple[str, str]] = {
    RoutingProblem: ("classes", "class_tokens_per_s"),
    ReconfigurationProblem: ("endpoints", "demand_tokens_per_s"),
    HorizonProblem: ("endpoints", "demand_tokens_per_s"),
}
"""For each kind that serves demand: whose it is, and where it is stated."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a step saves, in cost units per hour; negative where it costs.

    Attributes
    ----------
    least, most
        The true saving lies between: ``bound before − objective after`` and ``objective before − bound after``.
    found
        Difference of the two plans' costs.
    before, after
        The two answers.
    """

    least: float
    most: float
    found: float
    before: Result[Any]
    after: Result[Any]


def worth_of(
    problem: Any,
    constraint: Constraint,
    where: str,
    step: int,
    *,
    solver: str = "auto",
    deadline_s: float = 10.0,
    gap_frac: float = 1e-4,
    seed: int = 0,
    workers: Workers | None = None,
) -> Worth:
    """Solve with a limit as it is and ``step`` units higher (or lower), and say what that saves.

    Each solve gets ``deadline_s``. A plan with declared excess has a cost that leaves the excess out: where one of the
    two is over a limit and the other is not, the step is worth what the excess is, and `InvalidInput` says so.

    Raises
    ------
    InvalidInput
        There is no such limit, or the two answers declare different excess.
    """
    before, after = (
        solve(each, solver=solver, deadline_s=deadline_s, gap_frac=gap_frac, seed=seed, workers=workers)
        for each in (problem, stepped(problem, constraint, where, step))
    )
    _require_same_excess(before, after)
    return Worth(
        least=before.bound - after.objective,
        most=before.objective - after.bound,
        found=before.objective - after.objective,
        before=before,
        after=after,
    )


def stepped(problem: Any, constraint: Constraint, where: str, step: int) -> Any:
    """The problem with one limit higher by ``step`` in every slot: a budget, the change budget, or a demand.

    Raises
    ------
    InvalidInput
        The problem has no such limit.
    """
    if isinstance(problem, HorizonProblem) and constraint is not Constraint.ENDPOINT_DEMAND:
        return replace(problem, now=stepped(problem.now, constraint, where, step))
    if constraint is Constraint.ENDPOINT_DEMAND:
        return _with_demand(problem, where, step)
    if constraint is Constraint.CHANGE_BUDGET and getattr(problem, "change_budget", None) is not None:
        return replace(problem, change_budget=problem.change_budget + step)
    families = list(problem.budgets.families)
    for n, family in enumerate(families):
        if family.constraint is constraint and where in family.domains:
            limit = family.limit.copy()
            limit[family.domains.index(where)] += step
            families[n] = replace(family, limit=limit)
            return replace(problem, budgets=replace(problem.budgets, families=tuple(families)))
    limits = {family.constraint.value: list(family.domains[:5]) for family in families}
    raise InvalidInput.one("worth", "where", f"{constraint} at {where!r} does not exist; there are {limits}")


def _with_demand(problem: Any, where: str, step: int) -> Any:
    names, field = DEMANDS.get(type(problem), ("vms", ""))
    asking = getattr(getattr(problem, "now", problem), names)
    if not field or where not in asking:
        raise InvalidInput.one("worth", "where", f"endpoint_demand at {where!r} does not exist")
    demand = getattr(problem, field).copy()
    demand[asking.index(where)] += step
    return replace(problem, **{field: np.maximum(0, demand)})


def _require_same_excess(before: Result[Any], after: Result[Any]) -> None:
    excess = [dict(getattr(result.plan, "excess", {})) for result in (before, after)]
    if excess[0] != excess[1]:
        told = [f"{sum(each.values()):,.0f}" for each in excess]
        what = (
            f"declared excess goes from {told[0]} to {told[1]}, which no price weighs against cost; read the two plans"
        )
        raise InvalidInput.one("worth", "excess", what)

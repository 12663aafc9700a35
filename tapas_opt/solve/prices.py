"""What one more watt, CFM or token/s would be worth: prices of the linear relaxation, by constraint and place.

They are prices of the relaxation and for small steps. The problem itself has whole VMs and whole choices, so that its
cost falls in steps: where a price says 3 per W, the first hundred watts may save nothing and the next one saves it all.
:mod:`tapas_opt.worth` solves again with a real step.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint, ShadowPrice
from tapas_opt.errors import DeadlinePassed, InvalidInput, WorkerFailed
from tapas_opt.mip.model import Block, MipArrays
from tapas_opt.mip.relaxation import row_prices
from tapas_opt.mip.worker import Workers
from tapas_opt.placement.scenarios.problem import WORST
from tapas_opt.placement.spare import WHOLE_HOSTS
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.solve.exact import excess_of
from tapas_opt.solve.kinds import KINDS, Kind, worker_of

__all__ = ["BOOKKEEPING", "UNITS", "prices_beside", "shadow_prices", "summed"]

FloatArray = NDArray[np.float64]

UNITS: Mapping[Constraint, str] = {
    Constraint.RACK_POWER_BUDGET: "W",
    Constraint.ROW_POWER_BUDGET: "W",
    Constraint.PDU_POWER_BUDGET: "W",
    Constraint.UPS_POWER_CAPACITY: "W",
    Constraint.AISLE_AIRFLOW_CAPACITY: "CFM",
    Constraint.AISLE_HEAT_CAPACITY: "W",
    Constraint.CVAR_BUDGET: "W",
    Constraint.VM_PLACED_ONCE: "VMs",
    Constraint.SERVER_GPU_CAPACITY: "servers",
    Constraint.GPU_TEMPERATURE_LIMIT: "W",
    Constraint.GROUP_SPREAD: "VMs",
    Constraint.PEAK_UTILISATION: "W",
    Constraint.ENDPOINT_DEMAND: "tokens/s",
    Constraint.INSTANCE_GOODPUT: "tokens/s",
    Constraint.CHANGE_BUDGET: "changes",
    Constraint.RELOAD_LIMIT: "reloads",
    Constraint.GROUP_TOGETHER: "VMs",
    Constraint.TENANT_RESERVATION: "servers",
    Constraint.CAPACITY_BUFFER: "servers",
    Constraint.UPS_TRANSIENT_LIMIT: "W",
    Constraint.FAILURE_SECURE: "W",
    Constraint.RELIEF_AVAILABLE: "W",
}
"""Unit of the right-hand side of a constraint's rows, CFM for W where they count air; those without rows have none."""

BOOKKEEPING = frozenset({Constraint.INSTANCE_HAS_ONE_CHOICE, Constraint.GROUP_ALL_OR_NOTHING, Constraint.WORST_FAILURE})
"""Rows that say what columns mean: nobody can buy another right-hand side."""

NOTHING = 1e-7
"""A price below this is rounding of the solver: W, CFM and tokens/s come in millions at most, costs in whole units."""


def prices_beside(
    problem: Any, plan: Any, *, deadline_s: float, seed: int = 0, workers: Workers | None = None
) -> tuple[ShadowPrice, ...] | None:
    """Shadow prices of a problem, within the excess that a plan declares; None where they do not come in time.

    Parameters
    ----------
    workers
        As in :func:`~tapas_opt.solve.solve`: one of them keeps the deadline.
    """
    if excess_of(plan) > 0:
        problem = problem.with_allowed_excess(plan.excess)
    if workers is None:
        return shadow_prices(problem, deadline_s, seed, plan)
    try:
        worker = workers[worker_of("highs")]
        return worker.run(shadow_prices, problem, deadline_s, seed, plan, deadline_s=deadline_s, grace_s=0.0)
    except (DeadlinePassed, WorkerFailed):
        return None


def shadow_prices(problem: Any, deadline_s: float, seed: int = 0, plan: Any = None) -> tuple[ShadowPrice, ...] | None:
    """Shadow prices of a problem; runs in a worker's process, and returns None where HiGHS does not get that far.

    A plan tells which rows are tight, so that large problems need not begin with all of them.
    """
    until = time.perf_counter() + deadline_s
    kind = KINDS[type(problem)]
    classes = kind.classes(problem)
    arrays = kind.formulation.formulate(problem, classes)
    start = None if plan is None else _values(kind, problem, classes, plan)
    found = row_prices(arrays, deadline_s=max(0.0, until - time.perf_counter()), seed=seed, start=start)
    return None if found is None else summed(problem, arrays, found[1])


def _values(kind: Kind, problem: Any, classes: Any, plan: Any) -> FloatArray | None:
    """A plan as column values; None for one that has none, because it takes a choice that another beats."""
    try:
        values: FloatArray = kind.formulation.encode(problem, classes, plan)
    except InvalidInput:
        return None
    return values


def summed(problem: Any, arrays: MipArrays, row_duals: FloatArray) -> tuple[ShadowPrice, ...]:
    """Prices of all rows that have one, added up over the slots of each place.

    A domain has a row for each slot, and whoever raises its capacity raises all of them: its price is the sum. A row of
    interchangeable VMs, servers or instances is named after the first of them.
    """
    total: dict[tuple[Constraint, str, str], float] = defaultdict(float)
    duals, air = iter(row_duals.tolist()), _counted_in_air(problem)
    for block in arrays.row_blocks:
        constraint = Constraint(block.name)
        for labels, present in zip(product(*block.axes), block.present.ravel(), strict=True):
            if present:
                key = constraint, _where(labels, block, problem), _unit(constraint, labels, air)
                total[key] += next(duals) / _per_unit(problem, constraint, labels)
    found = [
        ShadowPrice(constraint, where, price, unit)
        for (constraint, where, unit), price in total.items()
        if abs(price) > NOTHING and constraint not in BOOKKEEPING
    ]
    order = list(Constraint)
    return tuple(sorted(found, key=lambda price: (order.index(price.constraint), -abs(price.price))))


def _where(labels: tuple[str, ...], block: Block, problem: Any) -> str:
    """The place of a row, without the slot: ``R1``, or ``G1 in K2``."""
    over_time = len(labels) > 1 and block.axes[-1] == _slots(problem)
    return " in ".join(labels[:-1] if over_time else labels) or "site"


def _slots(problem: Any) -> tuple[str, ...]:
    slots: tuple[str, ...] = problem.slots if isinstance(problem, HorizonProblem) else problem.budgets.slots
    return slots


def _counted_in_air(problem: Any) -> frozenset[str]:
    """Names of families, and of what failures are stated by, whose rows count CFM."""
    survival = getattr(problem, "survival", None)
    parts = [part for part in (survival.parts if survival else ()) if part.family.unit == "CFM"]
    budgets = problem.now.budgets if isinstance(problem, HorizonProblem) else problem.budgets
    families = [family.constraint.value for family in budgets.families if family.unit == "CFM"]
    return frozenset((*families, *(name for part in parts for name in (*part.family.domains, *part.groups))))


def _unit(constraint: Constraint, labels: tuple[str, ...], air: frozenset[str]) -> str:
    unit = UNITS.get(constraint, "units")
    return "CFM" if unit == "W" and not air.isdisjoint((constraint.value, *labels)) else unit


def _per_unit(problem: Any, constraint: Constraint, labels: tuple[str, ...]) -> float:
    """How many units a row's side of 1 stands for: routing states demand as 1, whatever it is in tokens/s."""
    if constraint is Constraint.SERVER_GPU_CAPACITY and labels[0].startswith(WHOLE_HOSTS):
        return np.inf  # it only says that hosts are begun as a whole
    if isinstance(problem, RoutingProblem) and constraint is Constraint.ENDPOINT_DEMAND:
        demand = int(problem.class_tokens_per_s[problem.classes.index(labels[0])])
        return demand or np.inf
    if (
        constraint is Constraint.CVAR_BUDGET
    ):  # the row of the worst days adds them up; those of days only say what columns mean
        return 1.0 / problem.scenarios.tail if labels[2] == WORST else np.inf
    return 1.0

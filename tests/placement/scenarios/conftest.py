"""Rooms whose tenants peak on some days, and random problems of which some budgets are judged by days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.placement.scenarios.problem import DayLoads, Scenarios

PEAK_W, USUAL_W = 6_000, 2_000


@pytest.fixture
def room(plain_problem) -> Callable[..., PlacementProblem]:
    """Tenants A and B, each 6 kW on peak days and 2 kW on others, for two servers in one row; a tenth of days counts.

    ``room(20, [3], [7], 9_000)``: of 20 days A peaks on day 3 and B on day 7, and the row feeds 9 kW.
    """

    def made(days: int, peaks_of_a: Sequence[int], peaks_of_b: Sequence[int], limit_w: int) -> PlacementProblem:
        by_day = np.full((2, 1, days, 1), USUAL_W)
        by_day[0, 0, list(peaks_of_a)] = PEAK_W
        by_day[1, 0, list(peaks_of_b)] = PEAK_W
        limit, none = np.array([[limit_w]]), np.array([[0]])
        row = BudgetFamily(
            Constraint.ROW_POWER_BUDGET, "W", ("R1",), np.array([[0], [0]]), np.full((2, 1), 1_000), limit, none
        )
        loads = DayLoads(Constraint.ROW_POWER_BUDGET, ("R1",), np.zeros((1, days, 1), dtype=np.int64))
        names = tuple(f"day {s}" for s in range(days))
        problem = plain_problem(
            ["A", "B"],
            ["S1", "S2"],
            BudgetNumbers(("noon",), (row,)),
            vm_type=np.array([0, 1]),
            type_power_w=np.full((2, 1, 1), PEAK_W),
            type_airflow_cfm=np.full((2, 1, 1), 500),
            type_gpu_power_w=np.array([[400], [400]]),
            type_fits=np.array([[True], [True]]),
            scenarios=Scenarios(names, days // 10, (loads,), by_day, np.full_like(by_day, 500)),
        )
        return replace(problem, prices=replace(problem.prices, peak_permille={}))

    return made


@pytest.fixture
def random_days(random_problem) -> Callable[..., PlacementProblem]:
    """A random problem some of whose budgets are judged by the worst one or two of three to five days."""

    return lambda seed, **size: judged_by_days(random_problem(seed, **size), seed)


def judged_by_days(problem: PlacementProblem, seed: int) -> PlacementProblem:
    rng = np.random.default_rng([seed, 1])
    days = int(rng.integers(3, 6))
    families = [f for f in problem.budgets.families if rng.random() < 0.7] or problem.budgets.families[:1]

    def spread(per_slot: np.ndarray) -> np.ndarray:
        """``[…, day, slot]`` from half to one and a half times as much."""
        shape = (*per_slot.shape[:-1], days, per_slot.shape[-1])
        return (per_slot[..., None, :] * rng.uniform(0.5, 1.5, shape)).astype(np.int64)

    return replace(
        problem,
        scenarios=Scenarios(
            days=tuple(f"day {s}" for s in range(days)),
            tail=int(rng.integers(1, 3)),
            families=tuple(DayLoads(f.constraint, f.domains, spread(f.base)) for f in families),
            type_power_w=spread(problem.type_power_w),
            type_airflow_cfm=spread(problem.type_airflow_cfm),
        ),
    )

"""What a solver says of a model, in one vocabulary for all solvers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["MipResult", "MipStatus", "Report", "proven_status"]

Report = Callable[[float, float, NDArray[np.float64] | None], None]
"""What a solver calls with its best objective so far, its bound, and values where these are new: ``inf``, ``-inf`` and
None where it has none. It may come from any thread of the solver, one call at a time, and must not raise."""

ABSOLUTE_GAP = 1e-6
"""Objectives closer than this are equal; HiGHS stops there too (its ``mip_abs_gap``)."""


class MipStatus(StrEnum):
    """How a solve ended; what the caller makes of it is decided from values, bound and checker."""

    OPTIMAL = "OPTIMAL"
    FEASIBLE = "FEASIBLE"
    INFEASIBLE = "INFEASIBLE"
    UNBOUNDED = "UNBOUNDED"
    NO_SOLUTION = "NO_SOLUTION"


@dataclass(frozen=True, slots=True)
class MipResult:
    """The outcome of one solve.

    Attributes
    ----------
    values
        One value a column, or None when no solution was found.
    objective
        Cost of ``values``.
    bound
        A lower bound on the cost of any solution; ``-inf`` when nothing was proven, ``inf`` when there is none.
    row_duals
        For a linear program solved to optimality, the price of each row; else None.
    solve_s
        Seconds inside the solver.
    """

    status: MipStatus
    values: NDArray[np.float64] | None
    objective: float | None
    bound: float
    row_duals: NDArray[np.float64] | None
    solve_s: float


def proven_status(objective: float, bound: float, gap_frac: float) -> MipStatus:
    """OPTIMAL if the bound proves the objective within the gap, else FEASIBLE.

    Solvers' own word is not taken: OPTIMAL has been reported after a stop (google/or-tools#4430).
    """
    near_enough = objective - bound <= gap_frac * abs(objective) + ABSOLUTE_GAP
    return MipStatus.OPTIMAL if near_enough else MipStatus.FEASIBLE

"""What a solver says of a model, in one vocabulary for all solvers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["MipResult", "MipStatus"]


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
        A lower bound on the cost of any solution; ``-inf`` when nothing was proven.
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

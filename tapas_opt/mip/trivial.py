"""Models that need no solver, and answers that solvers leave open, alike whichever solver was asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapas_opt.mip.model import FloatArray, MipArrays
from tapas_opt.mip.result import MipResult, MipStatus

__all__ = ["infeasible", "trivial_result", "unbounded", "unbounded_or_infeasible"]

CROSSED = 1e-9
"""Bounds that cross by less than this, relative to max(1, |bound|), are left to the solver's tolerance."""


def trivial_result(arrays: MipArrays) -> MipResult | None:
    """The answer of a model with crossed bounds or without columns; None for any other model."""
    if _crossed(arrays.lower, arrays.upper) or _crossed(arrays.row_lower, arrays.row_upper):
        return infeasible()
    if arrays.columns_count > 0:
        return None
    nothing = np.zeros(0)
    if arrays.worst_violation(nothing) > CROSSED:
        return infeasible()
    return MipResult(MipStatus.OPTIMAL, nothing, 0.0, 0.0, np.zeros(arrays.rows_count), 0.0)


def infeasible(solve_s: float = 0.0) -> MipResult:
    """The result that says no solution exists."""
    return MipResult(MipStatus.INFEASIBLE, None, None, np.inf, None, solve_s)


def unbounded(solve_s: float = 0.0) -> MipResult:
    """The result that says the cost falls without end."""
    return MipResult(MipStatus.UNBOUNDED, None, None, -np.inf, None, solve_s)


def unbounded_or_infeasible(costless: MipResult) -> MipResult:
    """Which of both a model is, by the answer to the same without a cost: only an infeasible one has no solution."""
    if costless.values is not None:
        return unbounded(costless.solve_s)
    return replace(costless, bound=np.inf if costless.status is MipStatus.INFEASIBLE else -np.inf)


def _crossed(lower: FloatArray, upper: FloatArray) -> bool:
    room = CROSSED * np.maximum(1.0, np.where(np.isfinite(upper), np.abs(upper), 1.0))
    return bool((lower > upper + room).any())

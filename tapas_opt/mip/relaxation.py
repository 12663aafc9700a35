"""The linear relaxation of a model, and the prices of its rows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from tapas_opt.mip import highs
from tapas_opt.mip.model import BoolArray, FloatArray, IntArray, MipArrays
from tapas_opt.mip.result import MipStatus

__all__ = ["relaxed", "row_prices"]

NEARLY = 1.0 - 1e-9
"""A bound this near to what the rows imply is implied by them."""

FEW_ROWS = 2_000
"""Models of no more rows are solved with all of them."""

MORE_ROWS = 300
"""So many of the most broken rows are added at a time."""

BROKEN = 1e-7
"""A row broken by no more than this, relative to its side, is as good as kept: solvers say so, too."""

OPTIMAL = "kOptimal"


def row_prices(
    arrays: MipArrays, *, deadline_s: float, seed: int = 0, start: FloatArray | None = None
) -> tuple[float, FloatArray] | None:
    """Objective of the linear relaxation and the price of each row: how the objective changes with the row's side.

    For any change δ of one row's bounds, z(b + δ) ≥ z(b) + price · δ: the relaxation's value is convex in b. None where
    the relaxation has no solution, or none was found in time.

    Parameters
    ----------
    start
        A solution. Large models then begin with the rows that are tight there, and get others as they are broken: few
        of many bind, and a row that does not has no price.
    """
    model = relaxed(arrays)
    bounded = bool((model.cost >= 0).all() and np.isfinite(model.lower).all())  # even without some of its rows
    if start is not None and arrays.rows_count > FEW_ROWS and bounded:
        return _over_few_rows(model, start, deadline_s, seed)
    outcome = highs.solve(model, deadline_s=deadline_s, seed=seed)
    if outcome.status is not MipStatus.OPTIMAL or outcome.objective is None or outcome.row_duals is None:
        return None
    return outcome.objective, outcome.row_duals


def relaxed(arrays: MipArrays) -> MipArrays:
    """The model without integrality, and without upper bounds of columns that its rows imply.

    Such a bound would move with the row (no class places more VMs than it has), but a solver may take it for what
    binds, and say that the row is worth nothing.
    """
    redundant = arrays.upper >= NEARLY * _implied(arrays)
    return replace(
        arrays,
        integer=np.zeros(arrays.columns_count, dtype=bool),
        upper=np.where(redundant, np.inf, arrays.upper),
    )


def _implied(arrays: MipArrays) -> FloatArray:
    """``[column]`` what no solution passes, or what none that is best needs to pass; inf where nothing is known.

    Only rows with coefficients and columns of at least 0 are looked at: there ``a·x ≤ upper`` holds x below upper / a,
    and a column that costs nothing or more need not be above lower / a to please ``a·x ≥ lower``.
    """
    row, column, value = arrays.row_of_entry, arrays.index, arrays.value
    plain = _rows_without(arrays, (value < 0) | (arrays.lower[column] < 0))
    ratio = np.divide(1.0, value, out=np.full(len(value), np.inf), where=value > 0)
    held = np.full(arrays.columns_count, np.inf)
    capped = plain[row] & np.isfinite(arrays.row_upper[row])
    np.minimum.at(held, column[capped], arrays.row_upper[row[capped]] * ratio[capped])
    enough = np.where(arrays.cost >= 0, 0.0, np.inf)
    pleased = plain[row] & np.isposinf(arrays.row_upper[row])
    np.maximum.at(enough, column[pleased], np.maximum(0.0, arrays.row_lower[row[pleased]]) * ratio[pleased])
    enough[column[~pleased]] = np.inf
    return np.asarray(np.minimum(held, enough))


def _rows_without(arrays: MipArrays, wrong: BoolArray) -> BoolArray:
    """``[row]`` whether none of its entries is wrong."""
    return np.asarray(np.bincount(arrays.row_of_entry, weights=wrong, minlength=arrays.rows_count) == 0)


def _over_few_rows(
    arrays: MipArrays, start: FloatArray, deadline_s: float, seed: int
) -> tuple[float, FloatArray] | None:
    """Solve over some rows, add those that the solution breaks most, and again, until none is broken."""
    until = time.perf_counter() + deadline_s
    stated = np.flatnonzero(np.isfinite(arrays.row_lower) | (_broken(arrays, start) >= -BROKEN))
    solver = highs.loaded(_only(arrays, stated), deadline_s=deadline_s, seed=seed)
    while time.perf_counter() < until:
        highs.run(solver)
        if solver.getModelStatus().name != OPTIMAL:
            return None
        solution = solver.getSolution()
        broken = _broken(arrays, np.asarray(solution.col_value))
        broken[stated] = 0.0
        more = np.flatnonzero(broken > BROKEN)
        if len(more) == 0:
            price = np.zeros(arrays.rows_count)
            price[stated] = solution.row_dual
            return float(solver.getInfo().objective_function_value), price
        more = more[np.argsort(-broken[more], kind="stable")][:MORE_ROWS]
        _add(solver, arrays, more)
        stated = np.concatenate([stated, more])
    return None


def _broken(arrays: MipArrays, values: FloatArray) -> FloatArray:
    """``[row]`` by how much its upper side is passed, relative to it; negative where it is not."""
    side = arrays.row_upper
    return np.asarray((arrays.activity(values) - side) / np.maximum(1.0, np.abs(np.where(np.isinf(side), 1.0, side))))


def _only(arrays: MipArrays, rows: IntArray) -> MipArrays:
    """The model with some of its rows, which lose their names."""
    start, entries = _entries(arrays, rows)
    return replace(
        arrays,
        row_lower=arrays.row_lower[rows],
        row_upper=arrays.row_upper[rows],
        start=start,
        index=arrays.index[entries],
        value=arrays.value[entries],
        row_blocks=(),
    )


def _entries(arrays: MipArrays, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Where each of some rows starts among their entries, and which of the model's entries these are."""
    count = np.diff(arrays.start)[rows]
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return start, np.repeat(arrays.start[rows] - start[:-1], count) + np.arange(start[-1])


def _add(solver: Any, arrays: MipArrays, rows: IntArray) -> None:
    start, entries = _entries(arrays, rows)
    solver.addRows(
        len(rows),
        arrays.row_lower[rows],
        arrays.row_upper[rows],
        len(entries),
        start[:-1].astype(np.int32),
        arrays.index[entries].astype(np.int32),
        arrays.value[entries],
    )

"""The linear relaxation of a model, and the prices of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapas_opt.mip import highs
from tapas_opt.mip.model import BoolArray, FloatArray, MipArrays
from tapas_opt.mip.result import MipResult, MipStatus

__all__ = ["relaxed", "row_prices"]

NEARLY = 1.0 - 1e-9
"""A bound this near to what the rows imply is implied by them."""


def row_prices(arrays: MipArrays, *, deadline_s: float, seed: int = 0) -> tuple[float, FloatArray] | None:
    """Objective of the linear relaxation and the price of each row: how the objective changes with the row's side.

    For any change δ of one row's bounds, z(b + δ) ≥ z(b) + price · δ: the relaxation's value is convex in b. None where
    the relaxation has no solution, or none was found in time.
    """
    outcome: MipResult = highs.solve(relaxed(arrays), deadline_s=deadline_s, seed=seed)
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
    plain = _rows_where(arrays, (value < 0) | (arrays.lower[column] < 0))
    ratio = np.divide(1.0, value, out=np.full(len(value), np.inf), where=value > 0)
    held = np.full(arrays.columns_count, np.inf)
    capped = plain[row] & np.isfinite(arrays.row_upper[row])
    np.minimum.at(held, column[capped], arrays.row_upper[row[capped]] * ratio[capped])
    enough = np.where(arrays.cost >= 0, 0.0, np.inf)
    pleased = plain[row] & np.isposinf(arrays.row_upper[row])
    np.maximum.at(enough, column[pleased], np.maximum(0.0, arrays.row_lower[row[pleased]]) * ratio[pleased])
    enough[column[~pleased]] = np.inf
    return np.asarray(np.minimum(held, enough))


def _rows_where(arrays: MipArrays, wrong: BoolArray) -> BoolArray:
    """``[row]`` whether none of its entries is wrong."""
    return np.asarray(np.bincount(arrays.row_of_entry, weights=wrong, minlength=arrays.rows_count) == 0)

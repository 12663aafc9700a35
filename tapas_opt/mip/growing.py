"""A linear program that gains columns and is solved again and again, each time from where it was (HiGHS)."""

from __future__ import annotations

import numpy as np

from tapas_opt.mip.model import FloatArray, IntArray

__all__ = ["GrowingProgram"]


class GrowingProgram:
    """Minimise ``cost·x`` over columns x ≥ 0 that come in bit by bit, within rows whose limits may change.

    A cold start takes ten times as long as a warm one once there are hundreds of columns.
    """

    def __init__(self, rows: int) -> None:
        import highspy  # noqa: PLC0415  importing tapas_opt must not load a solver

        self._highs = highspy.Highs()
        for name, value in {"output_flag": False, "presolve": "off", "solver": "simplex"}.items():
            self._highs.setOptionValue(name, value)
        nothing = np.zeros(0, dtype=np.int32)
        free = np.full(rows, highspy.kHighsInf)
        self._highs.addRows(rows, -free, free, 0, np.zeros(rows, dtype=np.int32), nothing, np.zeros(0))
        self._columns, self._rows = 0, np.arange(rows, dtype=np.int32)

    def add(self, cost: FloatArray, start: IntArray, row: IntArray, value: FloatArray) -> None:
        """Add columns; the entries of column j are ``start[j]:start[j + 1]`` of ``row`` and ``value``."""
        count, inf = len(cost), np.full(len(cost), np.inf)
        at, rows = start[:-1].astype(np.int32), row.astype(np.int32)
        self._highs.addCols(count, cost, np.zeros(count), inf, len(value), at, rows, value)
        self._columns += count

    def limit(self, lower: FloatArray, upper: FloatArray, most: FloatArray) -> None:
        """Set the limits ``[row]`` and the most ``[column]`` that each column may be."""
        self._highs.changeRowsBounds(len(self._rows), self._rows, lower, upper)
        columns = np.arange(self._columns, dtype=np.int32)
        self._highs.changeColsBounds(self._columns, columns, np.zeros(self._columns), most)

    def solve(self, deadline_s: float | None) -> tuple[FloatArray, FloatArray, float] | None:
        """Values, the price of each row, and the cost; None unless it was solved to its optimum in time."""
        limit_s = np.inf if deadline_s is None else self._highs.getRunTime() + max(0.0, deadline_s)
        self._highs.setOptionValue("time_limit", limit_s)  # HiGHS counts from the first solve
        self._highs.run()
        if self._highs.getModelStatus().name != "kOptimal":
            return None
        solution = self._highs.getSolution()
        objective = self._highs.getInfo().objective_function_value
        return np.asarray(solution.col_value), np.asarray(solution.row_dual), float(objective)

"""The linear program behind a routing plan, as the greedy path solves it.

    min Σ cost·used + Σ_q lost·unserved + Σ_f price·peak,   every column between 0 and its most
        Σ draw·used ≤ limit_room                      a row for each domain that can fill up
        Σ draw·used − step·peak ≤ free_room           a row for each domain whose peak has a price
        − Σ work·used − Σ_q work·unserved ≤ − demand  a row for each endpoint

As :mod:`tapas_opt.routing.formulation` states it, but for what each instance serves, which is of an endpoint here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.routing import kernels
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.routing.segments import Segments

__all__ = ["Program", "program_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Program:
    """Columns are of segments ``[c, b]``, request classes and priced families; rows are of domains, then of endpoints.

    Attributes
    ----------
    cost, most
        ``[column]``, most above 0. A column that may not be used is one that costs, serves and draws nothing.
    right
        ``[row]``; sums of rows are at most that.
    work, power, airflow, demanded, row, per_watt, per_cfm
        As :mod:`tapas_opt.routing.kernels` reads them.
    class_row, class_work
        ``[request class]`` its endpoint's row, and its work.
    peak_row, peak_family, peak_step
        Rows with a peak, their families, and what a unit of the family's column takes away there.
    """

    cost: FloatArray
    most: FloatArray
    right: FloatArray
    work: FloatArray
    power: FloatArray
    airflow: FloatArray
    demanded: IntArray
    row: IntArray
    per_watt: FloatArray
    per_cfm: FloatArray
    class_row: IntArray
    class_work: FloatArray
    peak_row: IntArray
    peak_family: IntArray
    peak_step: FloatArray

    @property
    def numbers(
        self,
    ) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, IntArray, FloatArray, FloatArray]:
        """What most kernels read."""
        return self.work, self.power, self.airflow, self.demanded, self.row, self.per_watt, self.per_cfm

    def split(self, columns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Views of the segments' columns, the request classes' and the families'."""
        segments, last = self.work.size, self.work.size + len(self.class_row)
        return columns[:segments].reshape(self.work.shape), columns[segments:last], columns[last:]

    def sums(self, columns: FloatArray) -> FloatArray:
        """``[row]`` what stands there, given the columns."""
        used, unserved, peak = self.split(columns)
        out = np.empty(len(self.right))
        kernels.drawn(used, *self.numbers, out)
        np.subtract.at(out, self.class_row, self.class_work * unserved)
        out[self.peak_row] -= self.peak_step * peak[self.peak_family]
        return out

    def priced(self, price: FloatArray) -> FloatArray:
        """``[column]`` what one costs at the prices of rows: :meth:`sums` transposed."""
        out = np.empty(len(self.cost))
        used, unserved, peak = self.split(out)
        kernels.priced(price, *self.numbers, used)
        unserved[:] = -self.class_work * price[self.class_row]
        peak[:] = -np.bincount(self.peak_family, self.peak_step * price[self.peak_row], len(peak))
        return out

    def bound(self, price: FloatArray) -> float:
        """What no plan costs less than, by any ``price[row]`` of at least 0 (Lagrangian duality)."""
        return float((self.most * np.minimum(0.0, self.cost + self.priced(price))).sum() - (self.right * price).sum())


def program_of(problem: RoutingProblem, s: Segments) -> Program:
    """State the linear program of a problem."""
    domain, is_peak = _rows(s)
    row_of = np.full((2, len(s.limit_room)), NONE)
    row_of[is_peak.astype(np.int64), domain] = np.arange(len(domain))
    row = np.hstack([row_of[0][s.place], row_of[1][s.place]])
    there = np.asarray((row != NONE).any(axis=0))
    is_open, can_rise = s.most > 0, s.highest > 0
    asked = problem.class_work > 0
    lost = problem.prices.unserved_tokens_per_s * problem.class_tokens_per_s
    peak_row = np.flatnonzero(is_peak)
    family = s.family[domain[peak_row]]
    return Program(
        cost=np.concatenate([np.where(is_open, s.cost, 0.0).ravel(), lost * asked, s.peak_price * can_rise]),
        most=np.concatenate(
            [np.where(is_open, s.most, 1.0).ravel(), np.ones(len(asked)), np.where(can_rise, s.highest, 1.0)]
        ),
        right=np.concatenate([np.where(is_peak, s.free_room[domain], s.limit_room[domain]), -s.demand]),
        work=np.where(is_open, s.work, 0.0),
        power=np.where(is_open, s.power, 0.0),
        airflow=np.where(is_open, s.airflow, 0.0),
        demanded=len(domain) + s.endpoint,
        row=np.ascontiguousarray(row[:, there]),
        per_watt=np.ascontiguousarray(np.hstack([s.per_watt, s.per_watt])[:, there]),
        per_cfm=np.ascontiguousarray(np.hstack([s.per_cfm, s.per_cfm])[:, there]),
        class_row=len(domain) + problem.class_endpoint,
        class_work=problem.class_work,
        peak_row=peak_row,
        peak_family=family,
        peak_step=np.where(can_rise[family], s.step[domain[peak_row]], 0.0),
    )


def _rows(s: Segments) -> tuple[IntArray, BoolArray]:
    """The domain of each row, and whether it is a peak's.

    A domain comes once the last class that draws on it has come, the narrower first: racks, then their row. So what
    comes between two domains that are drawn on together is mostly of the same room.
    """
    classes, last = np.arange(len(s.place))[:, None], len(s.limit_room)
    begins, ends = np.full(last, len(classes)), np.full(last, -1)
    np.minimum.at(begins, s.place, classes)
    np.maximum.at(ends, s.place, classes)
    limited = np.flatnonzero((ends >= 0) & np.isfinite(s.limit_room))
    peaked = np.flatnonzero((ends >= 0) & np.isfinite(s.free_room) & (s.family != NONE))
    domain, is_peak = np.concatenate([limited, peaked]), np.repeat([False, True], [len(limited), len(peaked)])
    order = np.lexsort((is_peak, domain, -begins[domain], ends[domain]))
    return domain[order], is_peak[order]

"""Many instances through time, as fluids: how much each has inside, and how late its tokens come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.workload import Slo
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.serving.latency import LOAD_FRACS, TIMES_S, LatencyTable, placed
from tapas_opt.serving.stationary import places

__all__ = ["NEW", "Flow", "Fluid"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEW = -1
"""The number, among those before, of an instance that was not there."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What happened to each of n instances in a step.

    Attributes
    ----------
    served_requests_per_s, lost_requests_per_s
        Of all replicas of the instance together.
    load_requests_per_s
        Of a replica: the steady load at which as many requests would be inside as are, in its table's time.
    wait_s
        What every request waits for its turn, where more came than could be served.
    speed
        How fast it ran, relative to its table; 0 for one that stood still.
    """

    served_requests_per_s: FloatArray
    lost_requests_per_s: FloatArray
    load_requests_per_s: FloatArray
    wait_s: FloatArray
    speed: FloatArray

    @property
    def as_tabled(self) -> NDArray[np.bool_]:
        """``[n]`` whether its table says it all: nobody waits besides, and it was not slowed."""
        return np.asarray((self.wait_s == 0.0) & (self.speed == 1.0))


class Fluid:
    """Instances whose load changes: at each moment one behaves as if it had always had as many requests inside.

    ``d inside / dt = arrivals − load(inside)``, where load(·) is the inverse of the steady number inside by load
    (pointwise stationary fluid flow: Wang, Tipper and Banerjee, INFOCOM 1996). A step is backward Euler, stable however
    long it is, and solved by one look into the table. What is inside beyond the last row of the table waits, and
    leaves at the saturated rate. An engine that is slowed has everything happen later in proportion: its table holds
    in its own time, of which ``speed · dt`` passes.

    Parameters
    ----------
    tables
        The distinct configurations; one may come more than once, to be told apart.
    table
        ``[n]`` which of them each instance runs.
    replicas
        ``[n]``, or one for all: engines of an instance, which share its requests evenly.
    patience_s
        Who would have to wait longer than that for its turn is lost.

    Attributes
    ----------
    inside
        ``[n]`` requests inside each replica.

    Raises
    ------
    InvalidInput
        Tables that do not exist, replicas or a patience that are not positive.
    """

    def __init__(
        self, tables: Sequence[LatencyTable], table: ArrayLike, replicas: ArrayLike = 1.0, patience_s: float = 60.0
    ) -> None:
        self.tables = tuple(tables)
        self.table = np.asarray(table, dtype=np.int64)
        self.replicas = np.broadcast_to(np.asarray(replicas, dtype=np.float64), self.table.shape)
        self.patience_s = patience_s
        _require(self)
        self.inside = np.zeros(len(self.table))
        most = np.array([one.saturated_requests_per_s for one in self.tables])
        known = np.array([np.append(0.0, one.at.inside) for one in self.tables]).reshape(-1, len(LOAD_FRACS) + 1)
        at_once = np.array([places(one.pace, one.mix) for one in self.tables])
        self._most, self._known = most[self.table], known[self.table]
        self._loads = np.append(0.0, LOAD_FRACS) * self._most[:, None]
        self._at_once = np.minimum(at_once[self.table], self._known[:, -1])

    def running(
        self,
        tables: Sequence[LatencyTable],
        table: ArrayLike,
        replicas: ArrayLike = 1.0,
        before: ArrayLike | None = None,
    ) -> Fluid:
        """Return instances running something else from now on; requests inside stay, spread over replicas.

        Parameters
        ----------
        before
            ``[n]`` number that each had among these; :data:`NEW` for those that are new and empty. The same if None.
        """
        then = Fluid(tables, table, replicas, self.patience_s)
        number = np.arange(len(self.table)) if before is None else np.asarray(before, dtype=np.int64)
        inside = np.append(self.inside * self.replicas, 0.0)[number]
        then.inside = inside / then.replicas
        return then

    def step(self, dt_s: float, requests_per_s: ArrayLike, speed: ArrayLike = 1.0) -> Flow:
        """Let ``dt_s`` pass while so many requests ``[n]`` come per second, and engines run at a speed ``[n]``.

        An engine that stands still loses what it has and what comes.
        """
        arrivals = np.asarray(requests_per_s, dtype=np.float64) / self.replicas
        pace = np.broadcast_to(np.asarray(speed, dtype=np.float64), self.table.shape)
        most, longest = self._most * pace, self._known[:, -1]
        total = self.inside + dt_s * arrivals
        inside = _looked_up(total, self._known + (dt_s * pace)[:, None] * self._loads, self._known)
        inside = np.maximum(inside, total - dt_s * most)
        kept = np.minimum(inside, np.maximum(longest, self._at_once + most * self.patience_s))
        kept = np.where(pace > 0.0, kept, 0.0)
        lost = (inside - kept) / dt_s
        # Those beyond the table wait for all that have no place; twice the first few, so that it begins at zero.
        ahead = np.clip(np.minimum(2.0 * (kept - longest), kept - self._at_once), 0.0, None)
        served = arrivals - lost - (kept - self.inside) / dt_s
        self.inside = kept
        return Flow(
            np.maximum(served, 0.0) * self.replicas,
            lost * self.replicas,
            _looked_up(kept, self._known, self._loads),
            ahead / np.maximum(most, 1e-12),
            pace,
        )

    def ttft_s(self, flow: Flow, quantile: float) -> FloatArray:
        """``[n]`` quantile of the time to first token; infinite where an engine stands still."""
        steady = self._each(flow, lambda table, load, _: table.ttft_s(load, quantile))
        alone = self._each(flow, lambda table, load, _: table.ttft_s(np.zeros_like(load), quantile))
        return np.maximum(_slowed(steady, flow), flow.wait_s + _slowed(alone, flow))

    def tbt_s(self, flow: Flow, quantile: float) -> FloatArray:
        """``[n]`` quantile of the time between tokens; infinite where an engine stands still."""
        return _slowed(self._each(flow, lambda table, load, _: table.tbt_s(load, quantile)), flow)

    def busy_frac(self, flow: Flow) -> FloatArray:
        """``[n]`` share of time in which iterations run."""
        return self._each(flow, lambda table, load, _: table.by_load(table.at.busy_frac, load))

    def attained_frac(self, flow: Flow, promised: Sequence[Slo]) -> FloatArray:
        """``[n]`` share of first tokens, or of gaps if that is less, within what was promised; lost requests broke it.

        1 where nothing came.

        Parameters
        ----------
        promised
            To the users of each table.
        """
        kept = np.array([table.kept_frac(slo) for table, slo in zip(self.tables, promised, strict=True)])
        row, down = self._place(flow)
        in_time = np.zeros(0)
        if len(self.tables):
            in_time = kept[self.table, row] * (1.0 - down) + kept[self.table, row + 1] * down
        for t, members in self._members(~flow.as_tabled):
            table, slo, own = self.tables[t], promised[t], flow.speed[members]
            load, wait = flow.load_requests_per_s[members], flow.wait_s[members] * own
            in_time[members] = np.minimum(
                table.first_token_frac(load, wait, slo.ttft_s * own),
                table.reached_frac(table.at.tbt_cdf, load, slo.tbt_s * own),
            )
        came = flow.served_requests_per_s + flow.lost_requests_per_s
        return np.where(came > 0.0, in_time * flow.served_requests_per_s / np.maximum(came, 1e-12), 1.0)

    def latencies(self, flow: Flow) -> tuple[FloatArray, FloatArray]:
        """``[table, X]`` first tokens, and gaps between tokens, per second by each of :data:`TIMES_S`.

        Summed over tables and steps, and divided by its last value, each is a distribution of which
        :func:`~tapas_opt.serving.latency.quantile_s` takes quantiles. A table counts for its mean output.
        """
        first, between = (np.zeros((len(self.tables), len(TIMES_S))) for _ in range(2))
        row, down = self._place(flow)
        served = np.where(flow.as_tabled, flow.served_requests_per_s, 0.0)
        cell, cells = self.table * len(LOAD_FRACS) + row, len(self.tables) * len(LOAD_FRACS)
        weights = np.bincount(cell, served * (1.0 - down), cells) + np.bincount(cell + 1, served * down, cells)
        for t, at_load in enumerate(weights.reshape(-1, len(LOAD_FRACS))):
            table = self.tables[t]
            first[t], between[t] = at_load @ table.at.ttft_cdf, at_load @ table.at.tbt_cdf
        for t, members in self._members(~flow.as_tabled & (flow.served_requests_per_s > 0.0)):
            table, own = self.tables[t], flow.speed[members]
            load, served = flow.load_requests_per_s[members], flow.served_requests_per_s[members]
            times = TIMES_S * own[:, None]
            first[t] += served @ table.first_token_frac(load, flow.wait_s[members] * own, times)
            between[t] += served @ table.reached_frac(table.at.tbt_cdf, load, times)
        return first, between * np.array([table.mix.decoded_tokens for table in self.tables])[:, None]

    def _place(self, flow: Flow) -> tuple[IntArray, FloatArray]:
        """``[n]`` which two of :data:`LOAD_FRACS` each load lies between, and how far along."""
        return placed(LOAD_FRACS, flow.load_requests_per_s / self._most)

    def _members(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, IntArray]]:
        """Those chosen, by table."""
        for t in np.unique(self.table[chosen]):
            yield int(t), np.flatnonzero(chosen & (self.table == t))

    def _each(self, flow: Flow, of: Callable[[LatencyTable, FloatArray, IntArray], FloatArray]) -> FloatArray:
        """``[n]`` put together from what ``of`` says of the instances with the same table: table, loads, numbers."""
        out = np.zeros(len(self.table))
        for t, members in self._members(np.ones(len(self.table), dtype=bool)):
            out[members] = of(self.tables[t], flow.load_requests_per_s[members], members)
        return out


def _looked_up(values: FloatArray, grid: FloatArray, column: FloatArray) -> FloatArray:
    """``[n]`` what each row of ``column`` says where a value lies on the same row of a rising ``grid``; ``[n, L]``."""
    right = np.clip((grid < values[:, None]).sum(axis=1), 1, grid.shape[1] - 1)
    n = np.arange(len(values))
    low, high = grid[n, right - 1], grid[n, right]
    part = np.clip((values - low) / np.maximum(high - low, 1e-300), 0.0, 1.0)
    return np.asarray(column[n, right - 1] * (1.0 - part) + column[n, right] * part)


def _slowed(time_s: FloatArray, flow: Flow) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(time_s / flow.speed)


def _require(fluid: Fluid) -> None:
    faults = []
    if not ((fluid.table >= 0) & (fluid.table < len(fluid.tables))).all():
        faults.append(Fault("table", f"must be 0 to {len(fluid.tables) - 1}, a number of one of the tables"))
    if not (fluid.replicas > 0).all():
        faults.append(Fault("replicas", "must be above 0"))
    if not fluid.patience_s > 0:
        faults.append(Fault("patience_s", f"{fluid.patience_s}: must be above 0"))
    if faults:
        raise InvalidInput("fluid", faults)

"""Many instances through time, as fluids: how much each has inside, and how late its tokens come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.serving.latency import TIMES_S, LatencyTable
from tapas_opt.serving.stationary import places

__all__ = ["Flow", "Fluid"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flow:
    """What happened to each of n instances in a step.

    Attributes
    ----------
    served_requests_per_s, lost_requests_per_s
        Of all replicas of the instance together.
    load_requests_per_s
        Of a replica: the steady load at which as many requests would be inside as are.
    wait_s
        What every request waits for its turn, where more came than could be served.
    """

    served_requests_per_s: FloatArray
    lost_requests_per_s: FloatArray
    load_requests_per_s: FloatArray
    wait_s: FloatArray


class Fluid:
    """Instances whose load changes: at each moment one behaves as if it had always had as many requests inside.

    ``d inside / dt = arrivals − load(inside)``, where load(·) is the inverse of the steady number inside by load
    (pointwise stationary fluid flow: Wang, Tipper and Banerjee, INFOCOM 1996). A step is backward Euler, stable however
    long it is, and solved by one look into the table. What is inside beyond the last row of the table waits, and
    leaves at the saturated rate.

    Parameters
    ----------
    tables
        The distinct configurations.
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
        ends = np.cumsum(np.bincount(self.table, minlength=len(self.tables)))
        self._members = np.split(np.argsort(self.table, kind="stable"), ends[:-1])

    def running(self, tables: Sequence[LatencyTable], table: ArrayLike, replicas: ArrayLike = 1.0) -> Fluid:
        """Return the same instances running something else from now on; requests inside stay, spread over replicas."""
        then = Fluid(tables, table, replicas, self.patience_s)
        then.inside = self.inside * self.replicas / then.replicas
        return then

    def step(self, dt_s: float, requests_per_s: ArrayLike) -> Flow:
        """Let ``dt_s`` pass while so many requests ``[n]`` come per second."""
        arrivals = np.asarray(requests_per_s, dtype=np.float64) / self.replicas
        loads, insides, lost, waits = (np.zeros(len(self.table)) for _ in range(4))
        for table, members in zip(self.tables, self._members, strict=True):
            load, most, known = table.at.requests_per_s, table.saturated_requests_per_s, table.at.inside
            total = self.inside[members] + dt_s * arrivals[members]
            inside = np.interp(total, np.append(0.0, known + dt_s * load), np.append(0.0, known))
            inside = np.maximum(inside, total - dt_s * most)
            served_at_once = min(places(table.pace, table.mix), known[-1])
            kept = np.minimum(inside, max(known[-1], served_at_once + most * self.patience_s))
            loads[members] = np.interp(kept, np.append(0.0, known), np.append(0.0, load))
            insides[members], lost[members] = kept, (inside - kept) / dt_s
            # Those beyond the table wait for all that have no place; twice the first few, so that it begins at zero.
            waits[members] = np.clip(np.minimum(2.0 * (kept - known[-1]), kept - served_at_once), 0.0, None) / most
        served = arrivals - lost - (insides - self.inside) / dt_s
        self.inside = insides
        return Flow(np.maximum(served, 0.0) * self.replicas, lost * self.replicas, loads, waits)

    def ttft_s(self, flow: Flow, quantile: float) -> FloatArray:
        """``[n]`` quantile of the time to first token."""
        steady = self._each(flow, lambda table, load, _: table.ttft_s(load, quantile))
        alone = self._each(flow, lambda table, load, _: table.ttft_s(np.zeros_like(load), quantile))
        return np.maximum(steady, flow.wait_s + alone)

    def tbt_s(self, flow: Flow, quantile: float) -> FloatArray:
        """``[n]`` quantile of the time between tokens."""
        return self._each(flow, lambda table, load, _: table.tbt_s(load, quantile))

    def busy_frac(self, flow: Flow) -> FloatArray:
        """``[n]`` share of time in which iterations run."""
        return self._each(flow, lambda table, load, _: table.by_load(table.at.busy_frac, load))

    def attained_frac(self, flow: Flow, ttft_s: ArrayLike, tbt_s: ArrayLike) -> FloatArray:
        """``[n]`` share of first tokens, or of gaps if that is less, within promises ``[n]``; lost requests broke them.

        1 where nothing came.
        """
        first, between = (np.broadcast_to(np.asarray(x, dtype=np.float64), self.table.shape) for x in (ttft_s, tbt_s))
        in_time = self._each(
            flow,
            lambda table, load, members: np.minimum(
                table.first_token_frac(load, flow.wait_s[members], first[members]),
                table.reached_frac(table.at.tbt_cdf, load, between[members]),
            ),
        )
        came = flow.served_requests_per_s + flow.lost_requests_per_s
        return np.where(came > 0.0, in_time * flow.served_requests_per_s / np.maximum(came, 1e-12), 1.0)

    def latencies(self, flow: Flow) -> tuple[FloatArray, FloatArray]:
        """First tokens, and gaps between tokens, per second of all instances by each of :data:`TIMES_S`.

        Summed over steps and divided by its last value each is a distribution, of which
        :func:`~tapas_opt.serving.latency.quantile_s` takes quantiles. A table counts for its mean output.
        """
        first, between = np.zeros(len(TIMES_S)), np.zeros(len(TIMES_S))
        for table, members in zip(self.tables, self._members, strict=True):
            load, served, wait = (
                column[members] for column in (flow.load_requests_per_s, flow.served_requests_per_s, flow.wait_s)
            )
            waits = wait > 0.0
            first += table.spread(load[~waits], served[~waits]) @ table.at.ttft_cdf
            times = np.broadcast_to(TIMES_S, (int(waits.sum()), len(TIMES_S)))
            first += served[waits] @ table.first_token_frac(load[waits], wait[waits], times)
            between += table.spread(load, served * table.mix.decoded_tokens) @ table.at.tbt_cdf
        return first, between

    def _each(self, flow: Flow, of: Callable[[LatencyTable, FloatArray, NDArray[np.int64]], FloatArray]) -> FloatArray:
        """``[n]`` put together from what ``of`` says of the instances with the same table: table, loads, numbers."""
        out = np.zeros(len(self.table))
        for table, members in zip(self.tables, self._members, strict=True):
            out[members] = of(table, flow.load_requests_per_s[members], members)
        return out


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

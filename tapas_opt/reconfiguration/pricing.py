"""Prices on demand, on domains and on changes: with them every instance chooses for itself.

For any prices of at least 0, of a token no more than it costs unserved,

    L = Σ_i min_c (cost + watt·power + cfm·airflow + change·counts − token·goodput)_{i,c}
        + Σ_e token_e·demand_e − Σ_d price_d·room_d − change·change_budget

is a lower bound on the cost of every plan (Lagrangian duality; Geoffrion 1974). Softened minima make L smooth
(Nesterov 2005), so that it can be climbed; the bound itself is taken without softening, over all options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.mip.ascent import climb
from tapas_opt.reconfiguration import kernels
from tapas_opt.reconfiguration.kernels import AIRFLOW, COST, FIELDS, GOODPUT, POWER
from tapas_opt.reconfiguration.packs import packs_of
from tapas_opt.reconfiguration.tables import State, Tables

__all__ = ["Prices", "Pricing"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DEAREST = 10.0
"""Highest price of a unit, in dearest options a unit: beyond, a higher price changes nothing."""

FIRST_STEP = 1.0
"""The first step of a climb, in typical prices."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Worth of a token/s at each endpoint, of a unit on each domain, and of a change; in cost units per hour.

    ``bound`` is L at these prices, with what whole choices in small domains, and whole loads, add to it.
    """

    token: FloatArray
    domain: FloatArray
    change: float = 0.0
    bound: float = -np.inf
    of_wholes: float = 0.0


class Pricing:
    """Climbs L from softness to softness.

    A domain that is over its limit even when everyone draws least counts as if its limit were there: nothing can be
    bought for more.

    Attributes
    ----------
    packs
        The small domains, whose instances choose together.
    typical_cost
        Median over instances of what the second cheapest option costs more than the cheapest: the scale of softness.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._all = tables.option.astype(np.float64)
        self._near, self._near_width = self._all, tables.width
        self._room = _attainable(tables)
        self._limits = np.concatenate(
            [tables.problem.demand_tokens_per_s, -self._room, [-float(tables.problem.change_budget or 0)]]
        )
        self.packs = packs_of(tables, self._all, np.rint(PERMILLE * self._room).astype(np.int64))
        self.typical_cost = _typical_cost(tables)
        self._scale = _scale(tables, self.typical_cost)
        self._high = _highest(tables) / self._scale

    def climbed(self, start: Prices, softness: float, steps: int) -> Prices:
        """Better prices than ``start``, at a softness in cost units."""
        found = climb(
            lambda x: self._softened(x, softness),
            self._joined(start) / self._scale,
            self._high,
            first_step=FIRST_STEP,
            steps=steps,
        )
        return self._parted(found.point * self._scale)

    def rates(self, prices: Prices) -> FloatArray:
        """``[instance, field]`` what a unit of each field costs an instance."""
        t = self._tables
        rate = np.empty((len(t.kind), FIELDS))
        kernels.rates(t.place, t.endpoint, prices.token, prices.domain, prices.change, rate)
        return rate

    def chosen(self, prices: Prices) -> tuple[IntArray, Prices]:
        """``[instance]`` the option that each takes at some prices, and the prices with their bound.

        The instances of a small domain choose together. This makes the bound better by what they then cost more.
        """
        t, rate = self._tables, self.rates(prices)
        at = np.empty(len(t.kind), dtype=np.int64)
        value = kernels.cheapest(t.kind, t.width, self._all, rate, at)
        more = self.packs.added(self.packs.small, prices.domain, rate, at)
        bound = value + float(self._joined(prices) @ self._limits) + more
        return at, replace(prices, bound=bound, of_wholes=more)

    def raised(self, prices: Prices, token: FloatArray, permille: FloatArray) -> Prices:
        """Prices with those of tokens and of domains raised, the latter by so much for each thousandth of a unit."""
        more = np.concatenate([token, PERMILLE * permille, [0.0]])
        higher = np.minimum(self._joined(prices) + more, self._high * self._scale)
        return self.chosen(self._parted(higher))[1]

    def bound_within(self, prices: Prices, state: State) -> float:
        """The bound where domains may be as far over as a state is; no cost is below 0."""
        t = self._tables
        allowed = t.room / PERMILLE + t.excess(state)
        more = np.maximum(0.0, allowed - self._room)[:-1]
        alone = prices.bound - prices.of_wholes if (more > 0).any() else prices.bound
        return max(0.0, alone - float(prices.domain[:-1] @ more))

    def flat(self, token: float) -> Prices:
        """A token at one price everywhere, everything else for nothing."""
        endpoints = len(self._tables.of_endpoint)
        return Prices(np.full(endpoints, token), np.zeros(len(self._tables.room)))

    def _softened(self, scaled: FloatArray, softness: float) -> tuple[float, FloatArray]:
        """L with soft minima, and its gradient: demand and limits less what the instances serve and draw."""
        t, point = self._tables, scaled * self._scale
        mean = np.empty((len(t.kind), FIELDS))
        load, goodput = np.empty(len(t.room)), np.empty(len(t.of_endpoint))
        rate = self.rates(self._parted(point))
        value = kernels.expected(t.kind, self._near_width, self._near, rate, softness, mean)
        changes = kernels.summed(t.place, t.endpoint, mean, load, goodput)
        slope = self._limits + np.concatenate([-goodput, load, [changes]])
        return value + float(point @ self._limits), slope * self._scale

    def narrow(self, prices: Prices, above: float) -> None:
        """Let later climbs look only at options that cost some instance at most so much more than its cheapest.

        The bound is of all options all the same.
        """
        t = self._tables
        least_above = np.empty((len(t.width), t.option.shape[2]))
        kernels.nearest(t.kind, t.width, self._all, self.rates(prices), least_above)
        near = least_above <= above
        self._near_width = near.sum(axis=1)
        order = np.argsort(~near, axis=1, kind="stable")[:, : int(self._near_width.max())]
        self._near = np.ascontiguousarray(np.take_along_axis(self._all, order[:, None], axis=2))

    def _joined(self, prices: Prices) -> FloatArray:
        return np.concatenate([prices.token, prices.domain, [prices.change]])

    def _parted(self, point: FloatArray) -> Prices:
        endpoints = len(self._tables.of_endpoint)
        return Prices(point[:endpoints], point[endpoints:-1], float(point[-1]))


def _attainable(tables: Tables) -> FloatArray:
    """``[domain]`` units that may be drawn, or the least that can be where that is more; 0 for absent places."""
    real = np.arange(tables.option.shape[2]) < tables.width[:, None]
    least = [
        tables.option[:, field].min(axis=1, where=real, initial=np.iinfo(np.int64).max)[tables.kind]
        for field in (POWER, AIRFLOW)
    ]
    drawn = tables.place[:, :, 1] * least[0][:, None] + tables.place[:, :, 2] * least[1][:, None]
    in_all = np.bincount(tables.place[:, :, 0].ravel(), weights=drawn.ravel(), minlength=len(tables.room))
    attainable = np.maximum(tables.room, in_all) / PERMILLE
    attainable[-1] = 0.0
    return attainable


def _typical_cost(tables: Tables) -> float:
    real = np.arange(tables.option.shape[2]) < tables.width[:, None]
    cost = np.where(real, tables.option[:, COST], np.inf)
    more = cost - cost.min(axis=1, keepdims=True)
    second = np.where(more > 0, more, np.inf).min(axis=1)[tables.kind]
    second = second[np.isfinite(second)]
    return float(np.median(second)) if len(second) else 1.0


def _scale(tables: Tables, typical: float) -> FloatArray:
    """``[price]`` a typical one: the typical cost over a typical option's tokens, W, CFM, or changes."""
    tokens, watts, air = (
        max(1.0, float(tables.option[:, field].mean(where=tables.option[:, field] > 0)))
        if (tables.option[:, field] > 0).any()
        else 1.0
        for field in (GOODPUT, POWER, AIRFLOW)
    )
    is_air = np.zeros(len(tables.room), dtype=bool)
    is_air[tables.place[:, :, 0][tables.place[:, :, 2] > 0]] = True
    endpoints = np.full(len(tables.of_endpoint), typical / tokens)
    return np.concatenate([endpoints, np.where(is_air, typical / air, typical / watts), [typical]])


def _highest(tables: Tables) -> FloatArray:
    """``[price]`` 0 where nothing is to be priced: absent places, and changes that are not limited."""
    token = float(tables.problem.prices.unserved_token_per_s)
    dearest = DEAREST * float((tables.option[:, COST] + token * tables.option[:, GOODPUT]).max(initial=1))
    domain = np.full(len(tables.room), dearest / max(1.0, float(tables.option[:, POWER].max(initial=1))))
    domain[-1] = 0.0
    change = 0.0 if tables.problem.change_budget is None else dearest
    return np.concatenate([np.full(len(tables.of_endpoint), token), domain, [change]])

"""What it adds to a bound that weights are loaded whole.

A price of a token buys parts of a load, however dear a whole one is: where an endpoint needs 4.6 loads, L
(:mod:`tapas_opt.reconfiguration.pricing`) counts 4.6, and a plan has 5. At given prices of domains and changes, L falls
apart by endpoints, and the part of an endpoint e is a bound on

    P_e = min Σ_{i∈e} b_i(c_i) + unserved · max(0, demand_e − Σ_{i∈e} goodput_i(c_i))

where b is cost + watt·power + cfm·airflow + change·counts. For every whole number k, a plan loads weights at no more
than k−1 instances of e, or at k or more, so that P_e is at least the lesser of two bounds, one of each set of plans.
For plans that load at between ``least`` and ``most`` instances, and any price of a token from 0 to ``unserved``,

    token · demand_e + Σ_i n_i + the sum of the ``least`` lowest d_i, and of the next up to ``most`` that are below 0

is a bound: n_i is the least of b − token·goodput over options that load nothing, and d_i by how much the least over
those that load is above it. This is concave in the price of a token, and each of the two bounds may have a price of its
own (a disjunctive bound; Balas, Disjunctive Programming, 1979). k is the first whole number not below the loads that L
buys. An instance that has to load is not counted.

The instances of a small domain choose together. If just one of them is of an endpoint that loads, each of its options
is charged, in b, for what all there then cost more than each by itself: what
:func:`~tapas_opt.reconfiguration.load_kernels.beside` finds does not depend on the price of its own tokens, and those
of the others keep theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration import load_kernels as kernels
from tapas_opt.reconfiguration.kernels import GOODPUT
from tapas_opt.reconfiguration.packs import Packs
from tapas_opt.reconfiguration.pricing import Prices, Pricing
from tapas_opt.reconfiguration.tables import Tables

__all__ = ["Part", "Point", "with_whole_loads"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STEPS = 30
"""A best price of a token is looked for in so many steps at most; each bound is one wherever that ends."""

EXACT = 1e-9
"""A search ends where it can gain no more than this part of the bound; loads so near to a whole number are whole."""


@dataclass(frozen=True, slots=True)
class Point:
    """A bound on an endpoint's part at a price of a token, its slope there, and how many instances load."""

    token: float
    value: float
    slope: float
    loads: float


@dataclass(frozen=True, slots=True)
class Part:
    """What the instances of an endpoint may take, at given prices of domains and changes.

    Attributes
    ----------
    cost, tokens, loads
        ``[instance, option]`` cost units at the prices, tokens apart (infinite: not to be had); tokens/s; whether
        weights are loaded.
    demand
        Tokens/s.
    unserved
        Price of a token that nobody serves.
    """

    cost: FloatArray
    tokens: FloatArray
    loads: BoolArray
    demand: int
    unserved: float

    def at(self, token: float, least: int, most: int) -> Point:
        """A bound on the cost of all plans that load at between ``least`` and ``most`` instances."""
        value, served, loads = kernels.served_by(self.cost, self.tokens, self.loads, token, least, most)
        return Point(token, value + token * self.demand, self.demand - served, loads)

    def highest(self, least: int, most: int) -> Point:
        """The best of these bounds over the price of a token; its loads are those that a mixture of plans would have.

        Tangents on either side meet above the best, and there is the next price (Kelley 1960).
        """
        low, high = self.at(0.0, least, most), self.at(self.unserved, least, most)
        if low.slope <= 0 or low.value == np.inf:
            return low
        if high.slope >= 0:
            return high
        best = max(low, high, key=lambda each: each.value)
        for _ in range(STEPS):
            apart = high.value - low.value - high.slope * (high.token - low.token)
            token = low.token + apart / (low.slope - high.slope)
            limit = low.value + low.slope * (token - low.token)
            found = self.at(token, least, most)
            best = max(best, found, key=lambda each: each.value)
            if found.value >= limit - EXACT * abs(limit):
                break
            low, high = (found, high) if found.slope > 0 else (low, found)
        share = low.slope / (low.slope - high.slope)
        return Point(best.token, best.value, 0.0, low.loads + share * (high.loads - low.loads))

    def bound(self) -> float:
        """A bound on the cost of all plans, with whole loads."""
        everyone = len(self.cost)
        free = self.highest(0, everyone)
        fewest = int(np.ceil(free.loads - EXACT))
        if fewest == 0:
            return free.value
        return min(self.highest(0, fewest - 1).value, self.highest(fewest, everyone).value)


def with_whole_loads(tables: Tables, pricing: Pricing, prices: Prices, endpoints: Collection[int]) -> Prices:
    """Prices with what it adds to their bound that these endpoints load weights whole; as they were if that is less.

    A small domain with one instance of these endpoints counts with that instance, one with several adds nothing.
    """
    packs, rate = pricing.packs, pricing.rates(prices)
    of_these = np.isin(tables.endpoint, list(endpoints))
    others = [d for d in packs.small if not of_these[packs.here(d)].any()]
    more = packs.added(others, prices.domain, rate, np.zeros(len(tables.kind), dtype=np.int64))
    charged = _charged(packs, of_these, prices, rate)
    for e in endpoints:
        part = _part(tables, e, rate)
        before = part.at(float(prices.token[e]), 0, len(part.cost)).value
        more += replace(part, cost=part.cost + charged[tables.of_endpoint[e]]).bound() - before
    if more <= prices.of_wholes:
        return prices
    return replace(prices, bound=prices.bound - prices.of_wholes + more, of_wholes=more)


def _charged(packs: Packs, of_these: BoolArray, prices: Prices, rate: FloatArray) -> FloatArray:
    """``[instance, option]`` what the others of its small domain then cost more, where it is the one of these there."""
    charged = np.zeros((len(of_these), packs.option.shape[2]))
    for d in packs.small:
        here = packs.here(d)
        if of_these[here].sum() == 1:
            i = int(here[of_these[here]][0])
            charged[i] = packs.added_by_option(i, d, prices.domain, rate)
    return charged


def _part(tables: Tables, endpoint: int, rate: FloatArray) -> Part:
    """Each instance for itself."""
    here = tables.of_endpoint[endpoint]
    kind, untokened = tables.kind[here], rate[here]
    untokened[:, GOODPUT] = 0.0
    option = tables.option[kind].astype(np.float64)
    there = np.arange(option.shape[2]) < tables.width[kind, None]
    return Part(
        cost=np.where(there, np.einsum("if,ifc->ic", untokened, option), np.inf),
        tokens=np.ascontiguousarray(option[:, GOODPUT]),
        loads=tables.loads[kind],
        demand=int(tables.problem.demand_tokens_per_s[endpoint]),
        unserved=float(tables.problem.prices.unserved_token_per_s),
    )

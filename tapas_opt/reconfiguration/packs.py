"""Small domains, such as racks: their few instances choose together, within its room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.reconfiguration import kernels, load_kernels
from tapas_opt.reconfiguration.tables import Tables

__all__ = ["FEW", "Packs", "packs_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEW = 10
"""Instances of a domain that can choose together."""


@dataclass(frozen=True, slots=True)
class Packs:
    """What choosing together adds to a bound at some prices, at ``rate[instance, field]``.

    Attributes
    ----------
    option
        ``[kind, field, option]`` as kernels read it.
    room_permille
        ``[domain]`` thousandths of a unit that may be drawn.
    small
        Domains of at most :data:`FEW` instances, no two of which share one.
    """

    tables: Tables
    option: FloatArray
    room_permille: IntArray
    small: tuple[int, ...]

    def here(self, domain: int) -> IntArray:
        """The instances of a domain."""
        t = self.tables
        return t.instance_of[t.first_of[domain] : t.first_of[domain + 1]]

    def added(self, domains: Iterable[int], price: FloatArray, rate: FloatArray, at: IntArray) -> float:
        """By how much their instances cost more than if each chose for itself; ``at`` becomes what they choose.

        ``price[domain]`` is that of a unit. A rack of four has no room for parts of a choice, which prices alone
        would let it take.
        """
        t = self.tables
        site = (t.kind, t.width, self.option, t.place, rate)
        return sum(kernels.packed(*site, self.here(d), *self._limit(d, price), at) for d in domains)

    def added_by_option(self, i: int, domain: int, price: FloatArray, rate: FloatArray) -> FloatArray:
        """``[option]`` the same of one domain, by what its instance i takes; infinite for what does not fit."""
        t, here = self.tables, self.here(domain)
        more = np.full(self.option.shape[2], np.inf)
        first = np.concatenate([[i], here[here != i]])
        load_kernels.beside(t.kind, t.width, self.option, t.place, rate, first, *self._limit(domain, price), more)
        return more

    def _limit(self, domain: int, price: FloatArray) -> tuple[int, int, float]:
        return domain, int(self.room_permille[domain]), float(price[domain]) / PERMILLE


def packs_of(tables: Tables, option: FloatArray, room_permille: IntArray) -> Packs:
    """Find the small domains."""
    size = np.diff(tables.first_of)[:-1]
    taken = np.zeros(len(tables.kind), dtype=bool)
    small = []
    for d in np.flatnonzero((size > 0) & (size <= FEW)).tolist():
        here = tables.instance_of[tables.first_of[d] : tables.first_of[d + 1]]
        if not taken[here].any():
            taken[here] = True
            small.append(d)
    return Packs(tables, option, room_permille, tuple(small))

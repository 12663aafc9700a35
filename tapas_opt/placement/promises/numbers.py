"""Servers that are kept back in places, as whole numbers (docs/formulation.md, `capacity_buffer`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE

__all__ = ["KeptBack", "Promises", "Reservation", "TogetherIn"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TogetherIn:
    """Places of which the members of a group share one.

    Attributes
    ----------
    places, place_of
        Names of the racks, rows, aisles or rooms, and ``[server]`` which one each server is in.
    present
        ``[place]`` members that run there. Where some do, further ones only join them.
    """

    places: tuple[str, ...]
    place_of: IntArray
    present: IntArray

    @property
    def open(self) -> BoolArray:
        """``[place]`` where members may go."""
        return np.asarray((self.present > 0) | (not self.present.any()))


@dataclass(frozen=True, slots=True)
class KeptBack:
    """Places of one level (rows, rooms, or the site) in which whole servers of one hardware are kept back.

    Attributes
    ----------
    places, place_of
        Names, such as ``room-1 of h100``, and ``[server]`` which place each server counts in; :data:`NONE` where
        none, and for parts of servers.
    evictable
        ``[place]`` servers in service of which spot VMs have every GPU: they count as free.
    buffer
        ``[place]`` servers that stay free for failover, those kept in smaller places inside included.
    """

    places: tuple[str, ...]
    place_of: IntArray
    evictable: IntArray
    buffer: IntArray


@dataclass(frozen=True, slots=True)
class Reservation:
    """Servers promised to a tenant.

    Attributes
    ----------
    tenant
        Number of the tenant.
    due
        Servers still owed: what is promised beyond those on which the tenant runs VMs that are not spot.
    level
        Level of its own place.
    within
        ``[level]`` the place that it lies in; :data:`NONE` on smaller levels.
    """

    name: str
    tenant: int
    due: int
    level: int
    within: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Promises:
    """What is kept back. Places of one hardware lie in one another: rows in rooms, rooms in the site.

    Attributes
    ----------
    vm_tenant
        ``[vm]`` number of its tenant; :data:`NONE` for one without reservations.
    levels
        From small places to large ones. A place in which a reservation lies is there, with or without a buffer.
    """

    vm_tenant: IntArray
    levels: tuple[KeptBack, ...]
    reservations: tuple[Reservation, ...]

    def due(self, level: int) -> IntArray:
        """``[place]`` servers owed to tenants by the reservations that lie there."""
        total = np.zeros(len(self.levels[level].places), dtype=np.int64)
        for one in self.reservations:
            if one.within[level] != NONE:
                total[one.within[level]] += one.due
        return total

    def room(self, level: int, available: BoolArray) -> IntArray:
        """``[place]`` free servers less the buffer; where that is less than what is owed, what is owed.

        So a place that is short already stays usable for those to whom its servers are owed, and gets no shorter.
        """
        kept = self.levels[level]
        inside = (kept.place_of != NONE) & available
        free = np.bincount(kept.place_of[inside], minlength=len(kept.places)) + kept.evictable
        return np.asarray(np.maximum(free - kept.buffer, self.due(level)))

    def stated(self, available: BoolArray, vms: int) -> Promises:
        """Without the places that so many VMs could not bring below what is kept back.

        The place of a reservation is kept where any place that it lies in is.
        """
        tight = [self.room(level, available) - self.due(level) < vms for level in range(len(self.levels))]
        for one in self.reservations:
            lies_in = [(level, place) for level, place in enumerate(one.within) if place != NONE]
            if any(tight[level][place] for level, place in lies_in):
                tight[one.level][one.within[one.level]] = True
        return replace(self, levels=tuple(_only(k, t) for k, t in zip(self.levels, tight, strict=True)))


def _only(kept: KeptBack, places: BoolArray) -> KeptBack:
    inside = kept.place_of != NONE
    inside[inside] = places[kept.place_of[inside]]
    return replace(kept, place_of=np.where(inside, kept.place_of, NONE))

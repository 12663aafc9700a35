"""Parts of a site that have nothing to do with each other, so that a VM placed in one changes nothing in another.

Server classes that draw on one domain are in one *zone*, as are those of which one failure asks; on most sites a room
is a zone. What spans zones (peaks, what is kept back on the whole site, groups) is watched apart from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.taps import Taps

__all__ = ["EVERYWHERE", "Where", "Zones"]

IntArray = NDArray[np.int64]

Where = IntArray | slice
"""Some of the server classes."""

EVERYWHERE = slice(None)
"""All server classes."""


@dataclass(frozen=True, slots=True)
class Zones:
    """A partition of the server classes.

    Attributes
    ----------
    of
        ``[class]`` number of its zone.
    member, begin
        Classes ordered by zone, and ``[zone + 1]`` where those of each begin.
    """

    of: IntArray
    member: IntArray
    begin: IntArray

    @classmethod
    def of_site(cls, problem: PlacementProblem, classes: PlacementClasses, taps: Taps) -> Zones:
        """What budgets, days and failures tie together."""
        first, domain = classes.servers.first, taps.domain[taps.of_class]
        ties = [np.where(np.diff(taps.row_begin)[domain] > 0, domain, NONE)]
        ties += [tail.family.member[first] for tail in classes.tails]
        for part in problem.survival.parts if problem.survival else ():
            pair = part.family.member[part.kind[first]]
            ties.append(np.where(pair == NONE, NONE, np.append(part.scenario_room[part.scenario], NONE)[pair]))
        return cls.tied(len(first), ties)

    @classmethod
    def tied(cls, count: int, ties: Sequence[IntArray]) -> Zones:
        """Of so many classes; each of ``ties`` is ``[class, n]``: classes that share a number of it are tied."""
        from tapas_opt.placement import kernels  # noqa: PLC0415  compiled loops take long to import

        leader = np.arange(count)
        for tie in ties:
            kernels.tie(np.ascontiguousarray(tie), int(tie.max(initial=NONE)) + 1, leader)
        zones, of = np.unique(kernels.led(leader), return_inverse=True)
        begin = np.searchsorted(np.sort(of), np.arange(len(zones) + 1))
        return cls(of, np.argsort(of, kind="stable"), begin)

    @property
    def count(self) -> int:
        """Number of zones."""
        return len(self.begin) - 1

    def members(self, zone: int) -> Where:
        """Server classes of a zone; a slice where they follow each other, which is faster."""
        members = self.member[self.begin[zone] : self.begin[zone + 1]]
        low, high = int(members[0]), int(members[-1]) + 1
        return slice(low, high) if high - low == len(members) else members

"""The slots of a history: from its first reading to its last, without what only a wrong clock can have said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Refused
from tapas_opt.domain.panel import DAY_S, SLOT_S
from tapas_opt.errors import InvalidInput

__all__ = ["NOWHERE", "PARTS", "Grid", "grid_over"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NOWHERE = -1
"""Slot of a time outside the grid, number of a name that is not known."""

PARTS = 8
"""Parts of a slot; of the readings in one part the first in the file stands, and the parts are averaged."""

LONGEST_GAP_DAYS = 31
"""Readings further than this from most others are those of a wrong clock."""

LATEST_S = 2.0**53


@dataclass(frozen=True)
class Grid:
    """Slots from the first reading of the window to the last."""

    first_s: float
    slots: int
    since_s: float
    until_s: float

    def at(self, t_s: FloatArray) -> tuple[IntArray, IntArray]:
        """Slot of each time, and which part of the slot; :data:`NOWHERE` outside the window."""
        end_s = min(self.until_s, self.first_s + self.slots * SLOT_S)
        inside = (t_s >= max(self.since_s, self.first_s)) & (t_s < end_s)
        eighth = np.where(inside, (t_s - self.first_s) * (PARTS / SLOT_S), 0.0).astype(np.int64)
        slot, part = np.divmod(eighth, PARTS)
        return np.where(inside, slot, NOWHERE), part


def grid_over(times: Iterable[NDArray[np.floating[Any]]], since_s: float, until_s: float) -> tuple[Grid, list[Refused]]:
    """The grid over batches of times, without days that a gap of :data:`LONGEST_GAP_DAYS` parts from the middle one.

    Raises
    ------
    InvalidInput
        If no time lies in the window.
    """
    days: dict[int, _Day] = {}
    for t_s in times:
        seen = t_s[(t_s >= max(since_s, 0.0)) & (t_s < min(until_s, LATEST_S))]
        of = (seen // DAY_S).astype(np.int64)
        for day in np.unique(of):
            days[int(day)] = days.get(int(day), _Day()).with_times(seen[of == day])
    if not days:
        raise InvalidInput.one("history", "servers.t_s", "holds no reading in the time asked for")
    known = np.array(sorted(days))
    count = np.array([days[day].count for day in known])
    middle = int(np.searchsorted(np.cumsum(count), count.sum() / 2))
    stretch = np.concatenate([[0], np.cumsum(np.diff(known) > LONGEST_GAP_DAYS)])
    kept = stretch == stretch[middle]
    first = days[known[kept][0]].first_s // SLOT_S
    last = days[known[kept][-1]].last_s // SLOT_S
    grid = Grid(first * SLOT_S, int(last - first) + 1, since_s, until_s)
    strays = int(count[~kept].sum())
    reason = (
        f"more than {LONGEST_GAP_DAYS} days from the rest of the history: a wrong clock, or a history to read apart"
    )
    return grid, [Refused("servers", "t_s", "", strays, reason)] if strays else []


@dataclass(frozen=True)
class _Day:
    first_s: float = np.inf
    last_s: float = -np.inf
    count: int = 0

    def with_times(self, t_s: NDArray[np.floating[Any]]) -> _Day:
        return _Day(min(self.first_s, float(t_s.min())), max(self.last_s, float(t_s.max())), self.count + t_s.size)

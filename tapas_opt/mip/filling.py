"""What one of many alike units may take that is worth most: an exact search, where rows have upper limits only."""

from __future__ import annotations

import numpy as np

from tapas_opt.mip.alike import Alike
from tapas_opt.mip.model import FloatArray

__all__ = ["Filling"]

NODES = 300_000
"""Items taken in one search: a few hundredths of a second."""

KEPT = 16
"""So many of the best fillings that a search passes are handed out."""


class Filling:
    """Searches for patterns of a unit whose loose columns are held.

    Parameters
    ----------
    loose
        Values of the unit with nothing taken, as a unit in use has them.
    least_cost
        No unit that takes anything costs less.

    Attributes
    ----------
    possible
        Whether the search goes for this unit at all.
    """

    def __init__(self, alike: Alike, loose: FloatArray, least_cost: float) -> None:
        unit = alike.unit
        self._loose, self._cost = loose, unit.cost
        self._take = np.flatnonzero(alike.taking)
        self._block = alike.block[self._take]
        matrix = np.zeros((unit.rows_count, unit.columns_count))
        matrix[unit.row_of_entry, unit.index] = unit.value
        limited = np.isfinite(unit.row_upper)
        self._room = (unit.row_upper - matrix @ loose)[limited]
        self._size = matrix[limited][:, self._take].T.copy()
        self.possible = not np.isfinite(unit.row_lower).any() and bool((self._room >= 0).all())
        # Where what is taken costs nothing by itself, and no unit in use is roomier or cheaper, loose columns can stay.
        most = np.where(matrix > 0, matrix * unit.lower, np.where(matrix < 0, matrix * unit.upper, 0.0))
        roomiest = bool((matrix @ loose <= np.where(alike.taking, 0.0, most).sum(axis=1)).all())
        self._exact = roomiest and not unit.cost[self._take].any() and unit.cost @ loose <= least_cost

    def search(self, price: FloatArray, size: FloatArray, floor: float) -> tuple[FloatArray, float]:
        """Patterns whose worth at the prices is above their cost by more than ``floor``, and what none is above.

        Parameters
        ----------
        price, size
            ``[block]`` what a unit of it is worth, and how many there are.

        Returns
        -------
        tuple[FloatArray, float]
            ``[pattern, column of the unit]``, and a limit of worth less cost; infinite where the search was not done.
        """
        from tapas_opt.mip.kernels import fillings  # noqa: PLC0415  numba is slow to import, and only bins need it

        worth = price[self._block] - self._cost[self._take]
        gives = np.asarray((self._size < 0).any(axis=1))
        wanted = np.flatnonzero(((worth > 0) | gives) & (size[self._block] > 0))
        weight = (self._size / np.maximum(self._room, 1e-9)).sum(axis=1)
        by_weight = -worth[wanted] / np.maximum(weight[wanted], 1e-9)
        order = wanted[np.lexsort((by_weight, ~gives[wanted]))]
        base = float(self._cost @ self._loose)
        most = np.rint(size[self._block[order]]).astype(np.int64)
        out = np.zeros((KEPT, len(order)), dtype=np.int64)
        found, best, done = fillings(worth[order], self._size[order], most, self._room, base + floor, NODES, out)
        patterns = np.tile(self._loose, (min(found, KEPT), 1))
        patterns[:, self._take[order]] = out[: len(patterns)]
        return patterns, best - base if done and self._exact else np.inf

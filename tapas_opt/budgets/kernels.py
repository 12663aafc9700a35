"""Compiled loops of the budgets; :func:`warm_up` compiles them before they are needed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["undominated", "warm_up"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@njit(cache=True)
def undominated(
    rows: BoolArray, room: IntArray, step: IntArray, over: IntArray, under: IntArray, weight: IntArray
) -> BoolArray:
    """``[domain, slot]`` the rows that no row kept of the same domain implies; see :mod:`~tapas_opt.budgets.dominance`.

    ``over[t, u] / under[t, u]`` is the least multiple of slot t's draws that covers slot u's, negative where none
    does; ``weight[t]`` says how much slot t draws in all, so that the tightest row of a domain is looked at first.
    """
    kept = np.zeros(rows.shape, dtype=np.bool_)
    for d in range(rows.shape[0]):
        slots = np.flatnonzero(rows[d])
        tightness = np.empty(len(slots))
        for n, t in enumerate(slots):
            tightness[n] = weight[t] / max(room[d, t], 0.5)
        for n in np.argsort(-tightness):
            u = slots[n]
            implied = False
            for t in slots:
                if kept[d, t] and over[t, u] >= 0 and room[d, t] >= 0:
                    implied = (
                        over[t, u] * room[d, t] <= under[t, u] * room[d, u]
                        and over[t, u] * step[d, t] <= under[t, u] * step[d, u]
                    )
                if implied:
                    break
            kept[d, u] = not implied
    return kept


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    one = np.ones((1, 1), dtype=np.int64)
    undominated(one.astype(np.bool_), one, one, one, one, one[0])

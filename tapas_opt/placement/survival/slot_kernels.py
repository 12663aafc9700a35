"""The compiled loop of :mod:`tapas_opt.placement.survival.slots`, which says what it means."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["undominated", "warm_up"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@njit(cache=True)
def undominated(  # noqa: PLR0912  a loop within loops, as compiled code wants it
    order: IntArray,
    rows: BoolArray,
    room: IntArray,
    gain: IntArray,
    more: IntArray,
    groups: IntArray,
    group_begin: IntArray,
    group_pair: IntArray,
    group_share: IntArray,
    pairs: IntArray,
    pair_begin: IntArray,
) -> BoolArray:
    """``[scenario, slot]`` slots that stay.

    Parameters
    ----------
    order
        ``[scenario, slot]`` slots by rising room, -1 behind the last one that is stated.
    rows, room
        ``[pair, slot]``.
    gain
        ``[group, level, slot]`` what running VMs give at the cheapest tiers up to a level, 0 at the first.
    more
        ``[level, t, u]`` by how much the batch may draw more at t than at u with a level's tiers used up.
    groups, group_begin, pairs, pair_begin
        Numbers scenario by scenario, and where each scenario's begin.
    """
    kept = np.zeros(order.shape, dtype=np.bool_)
    needed = np.zeros(len(room), dtype=np.int64)
    for i in range(order.shape[0]):
        for at in range(order.shape[1]):
            t = order[i, at]
            if t < 0:
                break
            implied = False
            for before in range(at):
                u = order[i, before]
                if not kept[i, u]:
                    continue
                for p in pairs[pair_begin[i] : pair_begin[i + 1]]:
                    needed[p] = 0
                for g in groups[group_begin[i] : group_begin[i + 1]]:
                    shift = 0
                    for level in range(gain.shape[1]):
                        shift = max(shift, gain[g, level, u] - gain[g, level, t] + more[level, t, u])
                    for place in range(group_pair.shape[1]):
                        if group_pair[g, place] >= 0:
                            needed[group_pair[g, place]] += group_share[g, place] * shift
                implied = True
                for p in pairs[pair_begin[i] : pair_begin[i + 1]]:
                    if rows[p, t] and 1000 * (room[p, t] - room[p, u]) < needed[p]:
                        implied = False
                        break
                if implied:
                    break
            kept[i, t] = not implied
    return kept


def warm_up() -> None:
    """Compile, so that the first placement does not wait for it."""
    one = np.zeros(1, dtype=np.int64)
    table, cube, ends = one[:, None], one[:, None, None], np.array([0, 1])
    undominated(table, table == 0, table, cube, cube, one, ends, table, table, one, ends)

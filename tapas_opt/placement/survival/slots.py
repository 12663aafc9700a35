"""Which slots of a failure need no rows, because another slot of it implies them whatever is placed.

Slots t and u of a failure; ``room[d]`` is what a pair may draw beyond the base, ``A[g,j]`` what running VMs of a group
give at the cheapest j tiers, ``P`` and ``R[j]`` what VMs of the batch draw and give. From relief r[g] for u take, for
some s[g] ≥ 0,

    r_t[g] = max(0, r_u[g] − s[g] − (P_u − P_t)·x)

for t. All pairs are kept if ``room_t[d] − room_u[d] ≥ Σ_g share[g,d] · s[g]``. It costs no more and can be given if at
every level j ``s[g] ≥ A_u[j] − A_t[j] + ((P_t − R_t[j]) − (P_u − R_u[j]))·x``, since the cost is a sum over levels of
``(price[j+1] − price[j]) · max(0, r − A[j] − R[j]·x)``. Taking the batch for x wherever it draws more at t gives the
least such s, and all is whole numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.survival.problem import Secured

__all__ = ["without_dominated_slots"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def without_dominated_slots(part: Secured, draw: IntArray, count: IntArray) -> Secured:
    """The same with rows only in slots that no other slot of the failure implies.

    Parameters
    ----------
    draw
        ``[type, hardware, slot]`` what a VM of the batch draws.
    count
        ``[type]`` VMs of the batch.
    """
    if part.family.limit.shape[1] < 2 or not len(part.scenarios):
        return part
    from tapas_opt.placement.survival import slot_kernels  # noqa: PLC0415  compiled loops take long to import

    rows, room = part.family.needs_row, part.tolerated - part.family.base
    none = np.zeros((len(part.groups), 1, room.shape[1]), dtype=np.int64)
    kept = slot_kernels.undominated(
        _by_room(part, room),
        rows,
        room,
        np.concatenate([none, np.cumsum(part.available, axis=1)], axis=1),
        _more(part, draw, count),
        *_of_scenarios(part.group_scenario, len(part.scenarios)),
        part.group_pair,
        part.group_share_permille,
        *_of_scenarios(part.scenario, len(part.scenarios)),
    )
    return replace(part, family=replace(part.family, can_bind=rows & kept[part.scenario]))


def _by_room(part: Secured, room: IntArray) -> IntArray:
    """``[scenario, slot]`` stated slots by rising room over all pairs: what implies another comes before it."""
    total = np.zeros(part.stated.shape, dtype=np.int64)
    np.add.at(total, part.scenario, room)
    stated = part.stated
    order = np.argsort(np.where(stated, total, np.iinfo(np.int64).max), axis=1, kind="stable")
    return np.where(np.take_along_axis(stated, order, axis=1), order, -1)


def _more(part: Secured, draw: IntArray, count: IntArray) -> IntArray:
    """``[level, t, u]`` Σ over the batch of what it draws more at t than at u with the cheapest tiers used up."""
    asked = np.flatnonzero(count)
    left = draw[asked][:, :, None] - np.concatenate(
        [0 * part.type_relief[asked][:, :, :1], np.cumsum(part.type_relief[asked], axis=2)], axis=2
    )
    more = np.zeros((left.shape[2], left.shape[3], left.shape[3]), dtype=np.int64)
    for of_type, times in zip(left, count[asked].tolist(), strict=True):
        more += times * np.maximum(0, of_type[..., :, None] - of_type[..., None, :]).max(axis=0)
    return more


def _of_scenarios(scenario: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Numbers ordered by scenario, and where each scenario's begin."""
    order = np.argsort(scenario, kind="stable")
    return order, np.searchsorted(scenario[order], np.arange(count + 1))

"""Which slots of a failure need no rows, because another slot of it asks for at least as much whatever is placed.

Let slot u be such that in every group, and so also after the cheapest tiers are used up, what is drawn at u is no less
than at t for any plan. A plan that has relieved u can relieve t: give each group as much as brings it to the same net
load. By tiers the cost is ``Σ_j (price[j+1] − price[j]) · max(0, needed − what tiers up to j give)``, which is no more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.survival.problem import Secured

__all__ = ["without_dominated_slots"]

IntArray = NDArray[np.int64]


def without_dominated_slots(part: Secured, group_base: IntArray, draw: IntArray, count: IntArray) -> Secured:
    """The same with rows only in slots that no other slot of the failure dominates.

    Parameters
    ----------
    group_base
        ``[group, slot]`` what running VMs draw in each group.
    draw
        ``[type, hardware, slot]`` what a VM of the batch draws.
    count
        ``[type]`` VMs of the batch.
    """
    base = _levels(group_base[:, None], part.available)
    asked = np.flatnonzero(count)
    of_vm = _levels(draw[asked][:, :, None], part.type_relief[asked])
    stated, tolerated, rows = part.stated, part.tolerated, part.family.needs_row.copy()
    for i in range(len(part.scenarios)):
        slots = np.flatnonzero(stated[i])
        groups, pairs = np.flatnonzero(part.group_scenario == i), np.flatnonzero(part.scenario == i)
        loads = base[np.ix_(groups, np.arange(base.shape[1]), slots)]
        kept = _undominated(loads, tolerated[np.ix_(pairs, slots)], of_vm[..., slots], count[asked])
        rows[np.ix_(pairs, np.setdiff1d(slots, slots[kept]))] = False
    return replace(part, family=replace(part.family, can_bind=rows))


def _levels(draw: IntArray, relief: IntArray) -> IntArray:
    """``[…, level, slot]`` what is drawn when nothing, the cheapest tier, the two cheapest, … are relieved."""
    return np.asarray(np.concatenate([draw, draw - np.cumsum(relief, axis=-2)], axis=-2))


def _undominated(loads: IntArray, tolerated: IntArray, of_vm: IntArray, count: IntArray) -> list[int]:
    """Numbers of the slots that stay; ``loads`` is ``[group, level, slot]``, ``of_vm`` those of VMs by type, hardware.

    Dominance is transitive, and a slot that dominates another has no lower load: one pass by falling load finds all.
    """
    kept: list[int] = []
    for t in np.argsort(-loads[:, 0].sum(axis=0), kind="stable").tolist():
        if not any(_dominates(u, t, loads, tolerated, of_vm, count) for u in kept):
            kept.append(t)
    return kept


def _dominates(u: int, t: int, loads: IntArray, tolerated: IntArray, of_vm: IntArray, count: IntArray) -> bool:
    """Whether slot ``u`` asks for at least as much as ``t``, in every group and at every level, whatever is placed."""
    if (tolerated[:, t] < tolerated[:, u]).any():
        return False
    least = (loads[..., u] - loads[..., t]).min(axis=0)
    if (least < 0).any():
        return False
    more = np.maximum(0, of_vm[..., t] - of_vm[..., u]).max(axis=1, initial=0)
    return bool((count @ more <= least).all())

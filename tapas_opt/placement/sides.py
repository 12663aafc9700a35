"""What bounds or prices the greedy path beside budgets, temperature and peaks: one object for each such constraint.

A side limit answers for one more VM ``v``, given what the greedy path has placed so far, over some server classes
(``where``) at once, and is told of every VM that is placed or taken back. It holds numbers of its own and changes
nothing else:

* ``judge(v, where)``: where the VM may go, ``[server class]``, or one bool for everywhere; and what it costs there
  beyond what the greedy path counts itself, ``[server class]``, or one number for everywhere; whole cost units,
  negative only where it makes up for what others were charged before;
* ``take(v, k, sign)``: the VM is placed on a server of class ``k`` (``sign`` 1) or taken back (-1); returns whether it
  might answer differently now for another such VM outside the zone of ``k`` (:mod:`~tapas_opt.placement.zones`).

The greedy path places a VM where all limits allow it and the sum of all prices is least. To add one, write a class with
these two methods beside its constraint and name it in :func:`side_limits`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.promises.sides import GroupTogether, KeptBackSide
from tapas_opt.placement.scenarios.sides import CvarSide
from tapas_opt.placement.spare import SpareGpus
from tapas_opt.placement.survival.sides import SurvivalSide
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["GroupSpread", "SideLimit", "side_limits"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class SideLimit(Protocol):
    """One constraint beside the budgets, as the greedy path sees it; see the module's docstring."""

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray | bool, IntArray | int]:
        """``[server class]`` where VM ``v`` may go, and what it costs there, in whole cost units."""

    def take(self, v: int, k: int, sign: int) -> bool:
        """VM ``v`` is placed on a server of class ``k``, or taken back where ``sign`` is -1; whether it reaches far."""


def side_limits(problem: PlacementProblem, classes: PlacementClasses) -> tuple[SideLimit, ...]:
    """All that this problem has; those that cannot bind any VM of the batch are left out."""
    sides: list[SideLimit] = []
    if problem.groups:
        sides.append(GroupSpread(problem, classes))
    if problem.hosts is not None:
        sides.append(SpareGpus(problem, classes))
    if any(group.together is not None for group in problem.groups):
        sides.append(GroupTogether(problem, classes))
    if problem.promises is not None:
        sides.append(KeptBackSide(problem, classes))
    if problem.survival is not None and problem.survival.parts:
        sides.append(SurvivalSide(problem, classes, problem.survival))
    if problem.scenarios is not None and classes.tails:
        sides.append(CvarSide(problem, classes, problem.scenarios))
    return tuple(sides)


class GroupSpread:
    """``group_spread``: of a group at most so many members in one place."""

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses) -> None:
        first = classes.servers.first
        self._group = problem.vm_group
        self._most = [group.max_per_place for group in problem.groups]
        self._place = [group.place_of[first] for group in problem.groups]
        self._held = [group.present.copy() for group in problem.groups]

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray | bool, int]:
        """Where its group has not reached its limit, at no price."""
        g = int(self._group[v])
        return g < 0 or np.asarray((self._held[g] < self._most[g])[self._place[g][where]]), 0

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count the member in its place."""
        g = int(self._group[v])
        if g >= 0:
            self._held[g][self._place[g][k]] += sign
        return g >= 0

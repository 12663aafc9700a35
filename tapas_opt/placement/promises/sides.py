"""Promises as the greedy path sees them; the contract is that of :mod:`tapas_opt.placement.sides`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem

__all__ = ["GroupTogether", "KeptBackSide"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class GroupTogether:
    """``group_together``: members join those that run, or the first of them that was placed.

    The first one goes where servers are left for all of its group, and budgets that feed it, if there is such a place.
    """

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses) -> None:
        first = classes.servers.first
        self._problem, self._classes = problem, classes
        self._group, self._type = problem.vm_group, problem.vm_type
        self._size = np.bincount(problem.vm_group + 1, minlength=len(problem.groups) + 1)[1:]
        self._together = {g: group.together for g, group in enumerate(problem.groups) if group.together is not None}
        self._place = {g: together.place_of[first] for g, together in self._together.items()}
        self._joined = {g: np.zeros(len(together.places), dtype=np.int64) for g, together in self._together.items()}
        self._eligible = problem.eligible(first)
        self._gpus = problem.type_gpus[:, problem.server_hardware[first]]
        self._left = classes.servers.size * problem.gpus[first]

    def allows(self, v: int) -> BoolArray | bool:
        """In the place of its group, or in any that has servers for it."""
        g = int(self._group[v])
        if g not in self._together:
            return True
        if self._together[g].present.any():
            return self._together[g].open[self._place[g]]
        joined = self._joined[g]
        return np.asarray((joined if joined.any() else self._roomy(v, g))[self._place[g]] > 0)

    def price(self, v: int) -> int:
        """Nothing."""
        return 0

    def take(self, v: int, k: int, sign: int) -> None:
        """Note where the group is, and what is left."""
        g = int(self._group[v])
        self._left[k] -= sign * self._gpus[self._type[v], k]
        if g in self._together:
            self._joined[g][self._place[g][k]] += sign

    def _roomy(self, v: int, g: int) -> BoolArray:
        """``[place]`` where VMs like this one could be as many as the group has, or as many as anywhere."""
        of = int(self._type[v])
        could = np.where(self._eligible[of], self._left // self._gpus[of], 0)
        held = np.bincount(self._place[g], weights=could, minlength=len(self._joined[g]))
        held = np.minimum(held, self._fed(of, g))
        return np.asarray(held >= min(float(self._size[g]), held.max(initial=0.0)))

    def _fed(self, of: int, g: int) -> FloatArray:
        """``[place]`` how many VMs of a type the budgets of its servers feed at most, before the batch.

        Σ of what is left of the domains that the place draws on / what a VM draws on all of them, family by family.
        """
        place, first = self._place[g], self._classes.servers.first[self._eligible[of]]
        place = place[self._eligible[of]]
        fed = np.full(len(self._joined[g]), np.inf)
        for family in self._classes.budgets.families:
            draw = family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)[of].max(axis=0)
            share = family.share_permille[first].sum(axis=1).max(initial=0)
            if not draw.any() or not share:
                continue
            feeds = family.member[first]
            pairs = np.stack([np.broadcast_to(place[:, None], feeds.shape), feeds])[:, feeds != NONE]
            pairs = np.unique(pairs, axis=1)
            left = np.zeros((len(fed), len(draw)))
            np.add.at(left, pairs[0], np.maximum(0, family.room)[pairs[1]])
            most = np.floor((left[:, draw > 0] * PERMILLE / (draw[draw > 0] * share)).min(axis=1))
            free = np.bincount(place[(feeds == NONE).all(axis=1)], minlength=len(fed)) > 0  # no domain there can fill
            fed = np.where(free, fed, np.minimum(fed, most))
        return fed


class KeptBackSide:
    """``tenant_reservation`` and ``capacity_buffer``: what stays free in each place covers what is kept back there."""

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses) -> None:
        first = classes.servers.first
        assert problem.promises is not None
        self._promises, self._type, self._spot = classes.promises, problem.vm_type, problem.is_spot
        self._place = [kept.place_of[first] for kept in self._promises.levels]
        self._left = [
            problem.promises.room(level, problem.server_available) - problem.promises.due(level)
            for level in range(len(self._place))
        ]
        self._own = np.zeros(len(self._promises.reservations), dtype=np.int64)
        self._gpus = problem.type_gpus[:, problem.server_hardware[first]]
        self._all = problem.gpus[first]
        self._used = np.zeros(len(first), dtype=np.int64)

    def allows(self, v: int) -> BoolArray | bool:
        """Where enough stays free; everywhere for a VM that can be evicted."""
        if self._spot[v]:
            return True
        breaks = self._broken(self._used + self._gpus[self._type[v]]) - self._broken(self._used)
        allowed = np.ones(len(breaks), dtype=bool)
        for level, place in enumerate(self._place):
            kept = place != NONE
            more = breaks - self._settles(v, level)
            allowed[kept] &= (more[kept] <= 0) | (self._left[level][place[kept]] >= more[kept])
        return allowed

    def price(self, v: int) -> int:
        """Nothing."""
        return 0

    def take(self, v: int, k: int, sign: int) -> None:
        """Count the servers that VMs break, and what of a tenant's they use up."""
        if self._spot[v]:
            return
        before = int(self._broken(self._used)[k])
        self._used[k] += sign * self._gpus[self._type[v], k]
        broken = int(self._broken(self._used)[k]) - before
        for level, place in enumerate(self._place):
            if place[k] != NONE:
                self._left[level][place[k]] -= broken
        for r, one in enumerate(self._promises.reservations):
            if self._is_own(v, r)[k]:
                owed = max(0, one.due - int(self._own[r]))
                self._own[r] += sign
                settled = owed - max(0, one.due - int(self._own[r]))
                for level, within in enumerate(one.within):
                    if within != NONE:
                        self._left[level][within] += settled

    def _broken(self, used: IntArray) -> IntArray:
        """``[server class]`` servers that so many GPUs take, filled one after the other."""
        return np.asarray(-(-used // self._all))

    def _is_own(self, v: int, r: int) -> BoolArray:
        """``[server class]`` where a VM is what the reservation was made for."""
        one = self._promises.reservations[r]
        if self._promises.vm_tenant[v] != one.tenant:
            return np.zeros(len(self._all), dtype=bool)
        return np.asarray((self._place[one.level] == one.within[one.level]) & (self._gpus[self._type[v]] == self._all))

    def _settles(self, v: int, level: int) -> IntArray:
        """``[server class]`` how much less would be owed in the class's place of a level."""
        settled = np.zeros(len(self._all), dtype=np.int64)
        for r, one in enumerate(self._promises.reservations):
            if one.within[level] != NONE and self._own[r] < one.due:
                settled += self._is_own(v, r) & (self._place[level] == one.within[level])
        return settled

"""Promises as the greedy path sees them; the contract is that of :mod:`tapas_opt.placement.sides`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.zones import EVERYWHERE, Where

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

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray | bool, int]:
        """In the place of its group, or in any that has servers for it; at no price."""
        g = int(self._group[v])
        if g not in self._together:
            return True, 0
        place = self._place[g][where]
        if self._together[g].present.any():
            return self._together[g].open[place], 0
        joined = self._joined[g]
        return np.asarray((joined if joined.any() else self._roomy(v, g))[place] > 0), 0

    def take(self, v: int, k: int, sign: int) -> bool:
        """Note where the group is, and what is left."""
        g = int(self._group[v])
        self._left[k] -= sign * self._gpus[self._type[v], k]
        if g in self._together:
            self._joined[g][self._place[g][k]] += sign
        return g in self._together

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
        self._scarce = sum(int((left < 1).sum()) for left in self._left)  # places where no server may be begun
        self._own = np.zeros(len(self._promises.reservations), dtype=np.int64)
        self._gpus = problem.type_gpus[:, problem.server_hardware[first]]
        self._all = problem.gpus[first]
        self._used = np.zeros(len(first), dtype=np.int64)

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray | bool, int]:
        """Where enough stays free, and everywhere for a VM that can be evicted; at no price."""
        if self._spot[v] or not self._scarce:
            return True, 0
        used = self._used[where]
        breaks = self._broken(used + self._gpus[self._type[v], where], where) - self._broken(used, where)
        allowed = np.ones(len(breaks), dtype=bool)
        for level, at in enumerate(self._place):
            place = at[where]
            more, left = breaks - self._settles(v, level, where), np.append(self._left[level], 1)[place]
            allowed &= (more <= 0) | (left >= more)
        return allowed, 0

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count the servers that VMs break, and what of a tenant's they use up."""
        if self._spot[v]:
            return False
        gpus, used, taken = int(self._all[k]), int(self._used[k]), sign * int(self._gpus[self._type[v], k])
        self._used[k] = used + taken
        broken, far = -(-(used + taken) // gpus) + (-used // gpus), False
        for level, place in enumerate(self._place):
            far |= place[k] != NONE and self._free(level, int(place[k]), -broken)
        for r, one in enumerate(self._promises.reservations):
            if self._is_own(v, r, slice(k, k + 1))[0]:
                owed = max(0, one.due - int(self._own[r]))
                self._own[r] += sign
                left = max(0, one.due - int(self._own[r]))
                far |= (owed > 0) != (left > 0)
                for level, within in enumerate(one.within):
                    far |= within != NONE and self._free(level, within, owed - left)
        return bool(far)

    def _free(self, level: int, place: int, more: int) -> bool:
        """Leave so many servers more free in a place; whether VMs may begin one now and might not before, or else."""
        left = self._left[level]
        before = left[place] < 1
        left[place] += more
        changed = int(left[place] < 1) - int(before)
        self._scarce += changed
        return bool(changed)

    def _broken(self, used: IntArray, where: Where) -> IntArray:
        """``[server class]`` servers that so many GPUs take, filled one after the other."""
        return np.asarray(-(-used // self._all[where]))

    def _is_own(self, v: int, r: int, where: Where) -> BoolArray:
        """``[server class]`` where a VM is what the reservation was made for."""
        one, place = self._promises.reservations[r], self._place[self._promises.reservations[r].level][where]
        if self._promises.vm_tenant[v] != one.tenant:
            return np.zeros(len(place), dtype=bool)
        return np.asarray((place == one.within[one.level]) & (self._gpus[self._type[v], where] == self._all[where]))

    def _settles(self, v: int, level: int, where: Where) -> IntArray:
        """``[server class]`` how much less would be owed in the class's place of a level."""
        place = self._place[level][where]
        settled = np.zeros(len(place), dtype=np.int64)
        for r, one in enumerate(self._promises.reservations):
            if one.within[level] != NONE and self._own[r] < one.due:
                settled += self._is_own(v, r, where) & (place == one.within[level])
        return settled

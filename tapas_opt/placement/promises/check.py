"""Judge promises on named servers, in plain loops; shares nothing with formulation and greedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tapas_opt.domain.result import Binding, Constraint, Violation
from tapas_opt.placement.problem import PlacementProblem

__all__ = ["PromiseBarriers", "promise_bindings", "promise_violations"]

Placed = list[tuple[int, int]]
"""Numbers of VM and server."""


def promise_violations(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    """Members of a group away from the others, and places where less stays free than is kept back.

    A place that is short already may stay so, but not get shorter. What is missing there is first the buffer's.
    """
    for g in range(len(problem.groups)):
        yield from _apart(problem, g, placed)
    before = {place.name: place for place in _places(problem, [])}
    for place in _places(problem, placed):
        earlier = before[place.name]
        of_tenants = max(0, place.owed - place.free) - max(0, earlier.owed - earlier.free)
        in_all = max(0, place.needed - place.free) - max(0, earlier.needed - earlier.free)
        if of_tenants > 0:
            yield Violation(Constraint.TENANT_RESERVATION, place.name, float(of_tenants), "servers")
        if in_all > max(0, of_tenants):
            yield Violation(Constraint.CAPACITY_BUFFER, place.name, float(in_all - max(0, of_tenants)), "servers")


def promise_bindings(problem: PlacementProblem, placed: Placed) -> Iterator[Binding]:
    """Places where nothing is left beyond what is kept back, with what is missing as negative headroom."""
    for place in _places(problem, placed):
        if place.free <= place.needed:
            constraint = Constraint.CAPACITY_BUFFER if place.needed > place.owed else Constraint.TENANT_RESERVATION
            yield Binding(constraint, place.name, float(place.free - place.needed), "servers")


class PromiseBarriers:
    """What one more VM would break; what is alike is worked out once."""

    def __init__(self, problem: PlacementProblem, placed: Placed) -> None:
        self._problem = problem
        self._placed = placed
        self._broken = {s for v, s in placed if not problem.is_spot[v]}
        self._known: dict[tuple[object, ...], dict[Constraint, tuple[float, str]]] = {}

    def of(self, v: int, s: int) -> dict[Constraint, tuple[float, str]]:
        """Shortfall and unit by constraint, for VM ``v`` on server ``s``."""
        p = self._problem
        together = p.groups[p.vm_group[v]].together if p.vm_group[v] >= 0 else None
        levels = () if p.promises is None else p.promises.levels
        if together is None and not levels:
            return {}
        alike = (
            int(p.vm_group[v]),
            bool(p.is_spot[v]),
            None if p.promises is None else int(p.promises.vm_tenant[v]),
            None if together is None else int(together.place_of[s]),
            tuple(int(kept.place_of[s]) for kept in levels),
            s in self._broken,
            _takes_all(p, v, s),
        )
        if alike not in self._known:
            self._known[alike] = self._found(v, s)
        return self._known[alike]

    def _found(self, v: int, s: int) -> dict[Constraint, tuple[float, str]]:
        present = {(one.constraint, one.where) for one in promise_violations(self._problem, self._placed)}
        found: dict[Constraint, tuple[float, str]] = {}
        for one in promise_violations(self._problem, [*self._placed, (v, s)]):
            if (one.constraint, one.where) not in present:
                found[one.constraint] = (max(one.excess, found.get(one.constraint, (0.0, ""))[0]), one.unit)
        return found


def _apart(problem: PlacementProblem, g: int, placed: Placed) -> Iterator[Violation]:
    """Members of the batch that are not where the group is: where others run, or else where most of them go."""
    group = problem.groups[g]
    if group.together is None:
        return
    there = Counter(int(group.together.place_of[s]) for v, s in placed if problem.vm_group[v] == g)
    home = [p for p, running in enumerate(group.together.present) if running > 0]
    home = home or [p for p, _ in there.most_common(1)]
    away = sum(count for p, count in there.items() if p not in home)
    if away:
        yield Violation(Constraint.GROUP_TOGETHER, group.name, float(away), "VMs")


@dataclass(frozen=True, slots=True)
class _Place:
    """Free servers of a place, what tenants are owed of them, and what is needed with the buffer."""

    name: str
    free: int
    owed: int
    needed: int


def _places(problem: PlacementProblem, placed: Placed) -> Iterator[_Place]:
    if problem.promises is None:
        return
    lasting = [(v, s) for v, s in placed if not problem.is_spot[v]]
    unbroken = problem.server_available.copy()
    unbroken[[s for _, s in lasting]] = False
    owed = _owed(problem, lasting)
    for level, kept in enumerate(problem.promises.levels):
        inside = (kept.place_of >= 0) & unbroken
        free = np.bincount(kept.place_of[inside], minlength=len(kept.places))
        for p, name in enumerate(kept.places):
            due = sum(
                left for one, left in zip(problem.promises.reservations, owed, strict=True) if one.within[level] == p
            )
            yield _Place(name, int(free[p] + kept.evictable[p]), due, due + int(kept.buffer[p]))


def _owed(problem: PlacementProblem, lasting: Placed) -> list[int]:
    """Servers still owed by each reservation once these VMs are placed."""
    assert problem.promises is not None
    left = []
    for one in problem.promises.reservations:
        at = problem.promises.levels[one.level].place_of
        own = [
            v
            for v, s in lasting
            if problem.promises.vm_tenant[v] == one.tenant
            and at[s] == one.within[one.level]
            and _takes_all(problem, v, s)
        ]
        left.append(max(0, one.due - len(own)))
    return left


def _takes_all(problem: PlacementProblem, v: int, s: int) -> bool:
    if problem.hosts is None:
        return True
    taken = problem.hosts.type_gpus[problem.vm_type[v], problem.server_hardware[s]]
    return bool(taken == problem.hosts.gpus[s])

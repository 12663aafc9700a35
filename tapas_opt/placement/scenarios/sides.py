"""CVaR as the greedy path sees it: a VM goes only where the worst days of no domain become too much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.scenarios.problem import Scenarios, Tail, worst_days
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["CvarSide"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class CvarSide:
    """``cvar_budget``: the mean of a domain's worst days stays within its limit."""

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses, scenarios: Scenarios) -> None:
        self._type = problem.vm_type
        first = classes.servers.first
        self._families = [_FamilySide(problem, scenarios, tail, first) for tail in classes.tails]

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray, int]:
        """Where no family has anything against it, at no price."""
        kind = int(self._type[v])
        return np.asarray(np.logical_and.reduce([family.allows(kind, where) for family in self._families])), 0

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count what the VM draws on every day."""
        for family in self._families:
            family.take(int(self._type[v]), k, sign)
        return False


class _FamilySide:
    """One family, by *taps*: the different domains, shares and hardware of server classes, each judged once.

    Attributes
    ----------
    draw
        ``[type, hardware, day, slot]``.
    drawn
        ``[domain, day, slot]`` thousandths so far, beyond the base.
    tap, of_class
        ``[3, tap]`` domain, share and hardware; ``[class, place]`` number of the tap, the last of which is nowhere.
    allowed, stale
        ``[type, tap]`` whether a VM may draw there, and whether that has to be worked out anew.
    """

    def __init__(self, problem: PlacementProblem, scenarios: Scenarios, tail: Tail, first: IntArray) -> None:
        self.tail, draw = tail, tail.family.counted(scenarios.type_power_w, scenarios.type_airflow_cfm)
        self.draw = draw
        self.base = tail.family.base.reshape(-1, *draw.shape[2:])
        self.drawn = np.zeros_like(self.base)
        member, share = (each[first] for each in tail.family.summed_shares())
        hardware = np.broadcast_to(problem.server_hardware[first][:, None], member.shape)
        keys = np.stack([member.ravel(), share.ravel(), hardware.ravel()])
        self.tap, of = np.unique(keys[:, keys[0] != NONE], axis=1, return_inverse=True)
        self.of_class = np.full(member.shape, self.tap.shape[1])
        self.of_class[member != NONE] = of.ravel()
        shape = (len(draw), self.tap.shape[1] + 1)
        self.allowed, self.stale = np.ones(shape, dtype=bool), np.ones(shape, dtype=bool)
        self.stale[:, -1] = False

    def allows(self, kind: int, where: Where) -> BoolArray:
        """``[server class]``."""
        stale = np.flatnonzero(self.stale[kind])
        domain, share, hardware = self.tap[:, stale]
        drawn = self.drawn[domain] + share[:, None, None] * self.draw[kind, hardware]
        excess = worst_days(self.base[domain] - (-drawn // 1000), self.tail.count) - self.tail.allowed[domain]
        self.allowed[kind, stale] = ~((excess > 0) & self.tail.can_bind[domain]).any(axis=1)
        self.stale[kind] = False
        return np.asarray(self.allowed[kind][self.of_class[where]].all(axis=1))

    def take(self, kind: int, k: int, sign: int) -> None:
        """Count a VM on a class, or take it back."""
        taps = self.of_class[k]
        for domain, share, hardware in self.tap[:, taps[taps < self.tap.shape[1]]].T.tolist():
            self.drawn[domain] += sign * share * self.draw[kind, hardware]
            self.stale[:, :-1] |= self.tap[0] == domain

"""Judge CVaR on named servers: every day's load is summed, and the days sorted, here; nothing is shared with arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import NEAR_FRAC
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Binding, Constraint, Violation
from tapas_opt.placement.problem import PlacementProblem

__all__ = ["DayBarriers", "cvar_bindings", "cvar_violations"]

IntArray = NDArray[np.int64]

Placed = list[tuple[int, int]]
"""Numbers of VM and server."""

Place = tuple[int, int]
"""Numbers of a family among those judged by days, and of a domain."""


def cvar_violations(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    """Every domain whose worst days have a mean above its limit in some slot; its worst slot is named."""
    days = DayBarriers(problem, placed)
    for place in days.touched:
        left, slot = days.least_left(place)
        if left < 0:
            name, unit, _ = days.named(place)
            yield Violation(Constraint.CVAR_BUDGET, f"{name} in {problem.budgets.slots[slot]}", -left, unit)


def cvar_bindings(problem: PlacementProblem, placed: Placed) -> Iterator[Binding]:
    """Domains whose worst days leave less than :data:`NEAR_FRAC` of the limit, on which something was placed."""
    days = DayBarriers(problem, placed)
    for place in days.touched:
        left, _ = days.least_left(place)
        name, unit, limit = days.named(place)
        if left <= NEAR_FRAC * limit:
            yield Binding(Constraint.CVAR_BUDGET, name, left, unit)


class DayBarriers:
    """What VMs that are placed draw on each domain, day by day, and what one more would break."""

    def __init__(self, problem: PlacementProblem, placed: Placed) -> None:
        self._problem = problem
        self._scenarios = problem.scenarios
        of = {family.constraint: family for family in problem.budgets.families}
        judged = () if self._scenarios is None else self._scenarios.families
        self._families = [of[loads.constraint] for loads in judged]
        self._base = [loads.base for loads in judged]
        self._thousandths: dict[Place, IntArray] = {}
        self._known: dict[tuple[Place, bytes], float] = {}
        for v, s in placed:
            for place, drawn in self._draws(v, s):
                self._thousandths[place] = self._thousandths.get(place, 0) + drawn

    @property
    def touched(self) -> list[Place]:
        """Domains on which a VM that is placed draws."""
        return sorted(self._thousandths)

    def named(self, place: Place) -> tuple[str, str, float]:
        """The domain with its family, the unit, and its limit."""
        family = self._families[place[0]]
        return f"{family.domains[place[1]]} ({family.constraint})", family.unit, float(family.limit[place[1]].max())

    def least_left(self, place: Place, more: IntArray | int = 0) -> tuple[float, int]:
        """What the mean of the worst days leaves of the limit, and in which slot that is least.

        Where they exceed it without any VM of the batch, what they come to already is the limit.
        """
        (f, d), tail = place, 1 if self._scenarios is None else self._scenarios.tail
        base = self._base[f][d]
        load = base + np.ceil((self._thousandths.get(place, 0) + more) / 1000)
        before, after = (np.sort(days, axis=0)[::-1][:tail].sum(axis=0) for days in (base, load))
        left = (np.maximum(tail * self._families[f].limit[d], before) - after) / tail
        return float(left.min()), int(left.argmin())

    def missing(self, v: int, s: int) -> tuple[float, str]:
        """By how much one VM more would exceed the limit of the worst of a server's domains; 0 if it may go there."""
        found = [(0.0, "W")]
        for place, drawn in self._draws(v, s):
            key = place, drawn.tobytes()
            if key not in self._known:
                self._known[key] = -self.least_left(place, drawn)[0]
            found.append((self._known[key], self._families[place[0]].unit))
        return max(found)

    def _draws(self, v: int, s: int) -> Iterator[tuple[Place, IntArray]]:
        """``[day, slot]`` thousandths that a VM draws on each domain of a server."""
        if self._scenarios is None:
            return
        kind, hardware = int(self._problem.vm_type[v]), int(self._problem.server_hardware[s])
        for f, family in enumerate(self._families):
            draw = family.counted(self._scenarios.type_power_w, self._scenarios.type_airflow_cfm)[kind, hardware]
            for d, permille in _domains(family, s).items():
                yield (f, d), permille * draw


def _domains(family: BudgetFamily, s: int) -> dict[int, int]:
    """Which part of a server's draw falls on each of its domains; two feeds may hang on one."""
    share: dict[int, int] = {}
    for d, permille in zip(family.member[s].tolist(), family.share_permille[s].tolist(), strict=True):
        if d >= 0:
            share[d] = share.get(d, 0) + permille
    return share

"""TAPAS's allocator: hard validators at predicted peak, then soft preferences (facts).

A VM may go where no row's power and no aisle's airflow is predicted above its limit in any hour. Among such servers it
prefers a row with few VMs of its own kind, and a server whose temperature slack is about what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policies.roster import Roster

__all__ = ["TapasPlacer"]

IntArray = NDArray[np.int64]

VALIDATED = (Constraint.ROW_POWER_BUDGET, Constraint.AISLE_AIRFLOW_CAPACITY)
SLACK_W = 50
"""How much further a server's ceiling is to be above a VM's peak: a VM that draws more than expected needs it."""

TOO_HOT = 10.0
"""Preference against a server too hot for the VM's peak: dearer than any imbalance, and yet no validator."""


class TapasPlacer:
    """Places one VM after the other."""

    def __init__(self, roster: Roster, insight: Insight) -> None:
        self._roster = roster
        self._insight = insight

    def find(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Servers for those that pass the validators anywhere."""
        problem = self._insight.placement(vms, groups, now_s)
        validators = [_Validator(family, problem) for family in problem.budgets.families if _validates(family)]
        free = problem.server_available.copy()
        kinds = self._kinds_by_row()
        found: dict[str, str] = {}
        for i, vm in enumerate(vms):
            kind = int(problem.vm_type[i])
            may = free & problem.type_fits[kind, problem.server_hardware]
            for one in validators:
                may &= one.admits(kind)
            if not may.any():
                continue
            server = int(np.argmin(np.where(may, self._dislike(problem, vm, kind, kinds), np.inf)))
            free[server] = False
            kinds[_is_saas(vm), self._roster.topology.server_row[server]] += 1
            for one in validators:
                one.take(kind, server)
            found[vm.name] = problem.servers[server]
        return found

    def _kinds_by_row(self) -> IntArray:
        """``[opaque or instance, row]`` how many run there."""
        topology = self._roster.topology
        kinds = np.zeros((2, len(topology.rows)), dtype=np.int64)
        for name, server in self._roster.server_of.items():
            kinds[_is_saas(self._roster.vms[name]), topology.server_row[server]] += 1
        return kinds

    def _dislike(self, problem: PlacementProblem, vm: Vm, kind: int, kinds: IntArray) -> NDArray[np.float64]:
        """``[server]`` the fuller the row of its kind, and the more or the less slack than needed, the worse."""
        topology = self._roster.topology
        size = np.bincount(topology.server_row, minlength=len(topology.rows))
        alike = (kinds[_is_saas(vm)] / size)[topology.server_row]
        need_w = problem.type_gpu_power_w[kind, problem.server_hardware] + SLACK_W
        spare = (problem.server_ceiling_w - need_w) / np.maximum(need_w, 1)
        return np.asarray(alike + np.where(spare < 0.0, TOO_HOT * -spare, spare))


class _Validator:
    """One family of limits, with what VMs placed so far are predicted to draw."""

    def __init__(self, family: BudgetFamily, problem: PlacementProblem) -> None:
        self._family = family
        self._problem = problem
        self._load = family.base.copy()
        self._domain = family.member[:, 0]

    def admits(self, kind: int) -> NDArray[np.bool_]:
        """``[server]`` whether one more VM of this type stays within the limit in every slot."""
        fits = [(self._load + draw <= self._family.limit).all(axis=1) for draw in self._draw(kind)]
        return np.asarray(np.array(fits)[self._problem.server_hardware, self._domain])

    def take(self, kind: int, server: int) -> None:
        """A VM of this type runs there."""
        self._load[self._domain[server]] += self._draw(kind)[self._problem.server_hardware[server]]

    def _draw(self, kind: int) -> IntArray:
        """``[hardware, slot]``."""
        return np.asarray(self._family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)[kind])


def _validates(family: BudgetFamily) -> bool:
    return family.constraint in VALIDATED


def _is_saas(vm: Vm) -> int:
    return int(vm.endpoint is not None)

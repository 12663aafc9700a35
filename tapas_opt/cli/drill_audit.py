"""The drill's own judge: the server's answers, checked from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tapas_opt.client import Plan
from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller
from tapas_opt.domain.result import Mode
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.placement import check as placement_check
from tapas_opt.placement.problem import PlacementPlan
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.problem import ReconfigurationPlan

__all__ = ["Audit"]


class Audit:
    """Judges the server's answers from outside, with a fleet of its own made of nothing but those answers."""

    def __init__(self, mirror: Controller) -> None:
        self.mirror = mirror
        self.violations: list[str] = []

    def now_s(self, otherwise_s: float) -> float:
        """The time as the server has it: that of the newest telemetry."""
        newest_s = self.mirror.latest.newest_s
        return otherwise_s if newest_s is None else newest_s

    def placed(self, vms: Sequence[Vm], groups: Sequence[Group], server_of: Mapping[str, str], now_s: float) -> None:
        """Judge a placement by the checker, then take it over; after every failure some relief must be enough."""
        problem = self.mirror.placement_problem(vms, groups, now_s=self.now_s(now_s))
        unplaced = tuple(vm.name for vm in vms if vm.name not in server_of)
        plan = with_relief(problem, PlacementPlan(dict(server_of), unplaced))
        self._judge(placement_check.check(problem, replace(plan, shortfall={})).violations)
        self.adopted([(vm, server_of[vm.name]) for vm in vms if vm.name in server_of], groups)

    def adopted(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group]) -> None:
        """Take over what somebody else has placed: there is nothing to judge."""
        there = tuple(happened.VmOnServer(vm, server) for vm, server in vms)
        self.mirror.apply([*(happened.GroupPut(group) for group in groups), happened.VmsAdopted(there)])

    def planned(self, plan: Plan, choice_of: Mapping[str, str], now_s: float) -> None:
        """Judge a reconfiguration by the checker: it may be over a budget by what it declares, no more."""
        failures = tuple(self.mirror.fleet.failures.values())
        problem = self.mirror.reconfiguration_problem(plan.stage, failures, now_s=self.now_s(now_s))
        chosen = dict(problem.present().choice_of) | dict(choice_of)
        excess = problem.plan(problem.chosen(ReconfigurationPlan(chosen))).excess
        declared = {(item.constraint, item.name): item.amount for item in plan.excess}
        if plan.decision.mode is Mode.BEST_EFFORT:
            problem = problem.allowing_late_relief()
        report = reconfiguration_check.check(problem.with_allowed_excess(excess), ReconfigurationPlan(chosen, excess))
        self._judge(report.violations)
        self._judge([f"{c} at {d}: {w:,.0f} over" for (c, d), w in excess.items() if w > declared.get((c, d), 0.0) + 1])

    def acknowledged(self, vm: str) -> None:
        """A VM runs what it was last told to."""
        known = self.mirror.fleet.vms.get(vm)
        if known is not None:
            self.mirror.apply([happened.ConfigurationAcknowledged(vm, known.generation)])

    def _judge(self, violations: Sequence[object]) -> None:
        self.violations += [str(item) for item in violations]

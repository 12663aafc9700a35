"""Decisions of placement: where VMs go, and what a server would do for one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from tapas_opt.control import events as happened
from tapas_opt.control.answers import Context, PlacementAnswer, ServerVerdict
from tapas_opt.control.ground import Ground
from tapas_opt.control.parts import alone, entries_of, on_servers
from tapas_opt.control.placing import placement_problem
from tapas_opt.control.requests import vm_faults
from tapas_opt.control.settings import Settings
from tapas_opt.domain.result import Constraint, Result
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.errors import InvalidInput
from tapas_opt.placement import check as placement_check
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.check import failure_costs
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.solve import solve

__all__ = ["PlacementDecisions"]


class PlacementDecisions(Ground):
    """Places VMs."""

    def place(
        self,
        vms: Sequence[Vm],
        groups: Sequence[Group],
        *,
        now_s: float,
        deadline_s: float,
        cancel: threading.Event | None = None,
        explain: bool = False,
    ) -> PlacementAnswer:
        """Find servers for a batch; once ``cancel`` is set, what has been found by then is the answer.

        ``explain`` asks for shadow prices as well.

        Raises
        ------
        InvalidInput
            Listing everything that is wrong with any VM or group of the batch.
        """
        with self.lock:
            self._require_placeable(vms, groups)
            problem, context = self._placement(vms, groups, now_s)
        settings = replace(self.settings, explain=explain)
        return self._placed(vms, groups, problem, context, now_s, deadline_s, settings, cancel)

    def settled(self, answer: PlacementAnswer, groups: Sequence[Group], *, now_s: float) -> PlacementAnswer:
        """The answer, or, if the fleet has changed since, a greedy one that fits the fleet as it is.

        Call it with the lock held, right before the events are made durable.
        """
        if answer.context.etag == self.fleet.etag:
            return answer
        self._require_placeable(answer.vms, groups)
        problem, context = self._placement(answer.vms, groups, now_s)
        settings = replace(self.settings, solver="greedy")
        again = self._placed(answer.vms, groups, problem, context, now_s, 0.0, settings)
        return replace(again, result=replace(again.result, fallback="the fleet changed while the solver worked"))

    def rank_servers(self, vm: Vm, candidates: Sequence[str], *, now_s: float) -> list[ServerVerdict]:
        """Judge candidate servers for a VM, best first; all servers when none are named."""
        with self.lock:
            faults = vm_faults(self.fleet, self.profiles, [vm], ())
            if faults:
                raise InvalidInput(f"VM {vm.name}", faults)
            for name in candidates:
                self.fleet.server_number(name)
            chosen = candidates or self.fleet.topology.servers
            problem, _ = self._placement([vm], (), now_s)
        entries = entries_of(problem)
        return sorted((_verdict(problem, name, entries.get(name, ())) for name in chosen), key=_best_first)

    def placement_problem(self, vms: Sequence[Vm], groups: Sequence[Group], *, now_s: float) -> PlacementProblem:
        """State what :meth:`place` would solve now."""
        with self.lock:
            return self._placement(vms, groups, now_s)[0]

    def _require_placeable(self, vms: Sequence[Vm], groups: Sequence[Group]) -> None:
        faults = vm_faults(self.fleet, self.profiles, vms, groups)
        if faults:
            raise InvalidInput("VMs to place", faults)

    def _placement(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> tuple[PlacementProblem, Context]:
        forecast = self.outlook.for_life(now_s)
        securing = self._securing if self.settings.secure else None
        problem = placement_problem(
            forecast, vms, groups, week=self.settings.week, securing=securing, risk=self.settings.risk
        )
        return problem, self.outlook.context(forecast)

    def _placed(
        self,
        vms: Sequence[Vm],
        groups: Sequence[Group],
        problem: PlacementProblem,
        context: Context,
        now_s: float,
        deadline_s: float,
        settings: Settings,
        cancel: threading.Event | None = None,
    ) -> PlacementAnswer:
        result: Result[PlacementPlan] = solve(
            problem,
            solver=settings.solver,
            gap_frac=settings.gap_frac,
            seed=settings.seed,
            workers=self._workers,
            cancel=cancel,
            explain=settings.explain,
            **settings.stopping(deadline_s),
        )
        self._met(problem, result)
        held = on_servers(problem, result.plan, vms)
        put = tuple(happened.GroupPut(group) for group in groups)
        reserved = (happened.VmsReserved(held, now_s + self.settings.reservation_s),) if held else ()
        failures = failure_costs(problem, result.plan)
        return PlacementAnswer(tuple(vms), held, result, context, (*put, *reserved), failures)


def _best_first(verdict: ServerVerdict) -> tuple[bool, float]:
    return not verdict.eligible, verdict.cost


def _verdict(problem: PlacementProblem, name: str, entries: Sequence[int]) -> ServerVerdict:
    """One VM on one server: on the best of its free blocks, if it takes a part."""
    full = ServerVerdict(name, eligible=False, cost=0.0, reasons=(Constraint.SERVER_GPU_CAPACITY,))
    return min((_verdict_on(problem, name, s) for s in entries), key=_best_first, default=full)


def _verdict_on(problem: PlacementProblem, name: str, server: int) -> ServerVerdict:
    """By the checker: what it breaks there, and what it costs."""
    plan = with_relief(problem, alone(problem, server))
    report = placement_check.check(problem, plan)
    reasons = tuple(dict.fromkeys(violation.constraint for violation in report.violations))
    return ServerVerdict(name, report.ok, report.objective, reasons)

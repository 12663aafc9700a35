"""Reconfiguration plans: solved, completed, judged for whether they are worth it, and kept until they are applied."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

import numpy as np

from tapas_opt.control import events as happened
from tapas_opt.control.answers import Context, Proposal, WaveAhead
from tapas_opt.control.arming import with_headroom
from tapas_opt.control.fleet import Basis
from tapas_opt.control.horizon import first_slot
from tapas_opt.control.recorder import Met, unrecorded
from tapas_opt.control.settings import Settings
from tapas_opt.domain.result import CheckReport, Mode, Result, Status
from tapas_opt.errors import NotFound
from tapas_opt.mip.worker import Workers
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.horizon import check as horizon_check
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem, Stage
from tapas_opt.reconfiguration.waves import waves
from tapas_opt.solve import solve

__all__ = ["Plans", "applied", "renewed"]

PROPOSALS_KEPT = 100

EXCESS_GROWTH_FRAC = 0.01
"""An armed plan whose remaining excess has grown by no more than this still is what it declares."""

LATE_GIVES_UP_FRAC = 0.05
"""Relief in time that may be given up for more relief later, as a part of the excess that remains."""


class Plans:
    """Makes proposals, and remembers them. Safe to call from several threads.

    Parameters
    ----------
    workers, urgent_workers
        Processes for the solvers of stage Settled, and of stage Now.
    met
        Told of each problem that is proposed for, with its answer; does not keep its caller waiting.
    """

    def __init__(
        self,
        workers: Workers | None,
        urgent_workers: Workers | None,
        met: Met = unrecorded,
    ) -> None:
        self._met = met
        self._workers = workers
        self._urgent_workers = urgent_workers
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Proposal] = OrderedDict()
        self._boot = uuid4().hex[:8]  # a plan is forgotten at a restart, and so must its id be
        self._number = count(1)

    def known(self, plan_id: str) -> Proposal:
        """A proposal by its id; raises NotFound."""
        with self._lock:
            if plan_id not in self._kept:
                raise NotFound("plan", plan_id, "it was never made, or is too old; plan again")
            return self._kept[plan_id]

    def propose(
        self,
        problem: ReconfigurationProblem,
        context: Context,
        basis: Basis,
        deadline_s: float,
        settings: Settings,
        cancel: threading.Event | None = None,
    ) -> Proposal:
        """Solve a problem, and keep what comes out of it, or has come out once ``cancel`` is set."""
        workers = self._urgent_workers if problem.stage is Stage.NOW else self._workers
        result: Result[ReconfigurationPlan] = self._solve(problem, deadline_s, settings, workers, cancel)
        self._met(problem, result)
        if problem.stage is Stage.SETTLED:
            result = replace(result, plan=waves(problem, result.plan))
        elif result.plan.excess:
            result = self._late_relief(problem, result, deadline_s, settings, workers, cancel)
        changes = _changes(problem, result.plan)
        needed = bool(changes) and _worth_it(problem, result, settings.gain_frac)
        plan_id, ahead = self._new_id(problem, context), _waves_ahead(problem, result.plan)
        proposal = Proposal(plan_id, problem.stage, changes, needed, result, context, basis, waves=ahead)
        self.keep(proposal)
        return proposal

    def propose_over(
        self,
        problem: HorizonProblem,
        context: Context,
        basis: Basis,
        deadline_s: float,
        settings: Settings,
        cancel: threading.Event | None = None,
    ) -> Proposal:
        """Solve a horizon, and keep what of it is to be done in the first slot."""
        whole: Result[Any] = self._solve(problem, deadline_s, settings, self._workers, cancel)
        self._met(problem, whole)
        first = first_slot(problem)
        choice, slot = problem.chosen(whole.plan)
        result: Result[ReconfigurationPlan] = replace(
            whole, plan=waves(first, first.plan(np.where(slot == 0, choice, first.current)))
        )
        changes = _changes(first, result.plan)
        later = {name: (whole.plan.choice_of[name], t) for name, t in whole.plan.slot_of.items() if t > 0}
        staying = horizon_check.check(problem.with_allowed_excess(problem.present().excess), problem.present())
        gains = not staying.ok or whole.objective < staying.objective * (1.0 - settings.gain_frac)
        needed = bool(changes) and (bool(problem.present().excess) or gains)
        plan_id, ahead = self._new_id(first, context), _waves_ahead(first, result.plan)
        proposal = Proposal(plan_id, first.stage, changes, needed, result, context, basis, later, ahead)
        self.keep(proposal)
        return proposal

    def keep(self, proposal: Proposal) -> None:
        """Remember a proposal, which may then be applied by its id."""
        with self._lock:
            self._kept[proposal.plan_id] = proposal
            while len(self._kept) > PROPOSALS_KEPT:
                self._kept.popitem(last=False)

    def arm(
        self, problem: ReconfigurationProblem, context: Context, basis: Basis, deadline_s: float, settings: Settings
    ) -> Proposal:
        """Solve a failure that has not come, with a little headroom; nothing is kept.

        It is solved by the processes that are not reserved for emergencies, one of which may come meanwhile.
        """
        tighter = with_headroom(problem)
        result: Result[ReconfigurationPlan] = self._solve(tighter, deadline_s, settings, self._workers)
        if result.plan.excess:
            result = self._late_relief(tighter, result, deadline_s, settings, self._workers)
        changes = _changes(tighter, result.plan)
        needed = bool(changes) and _worth_it(tighter, result, settings.gain_frac)
        return Proposal(self._new_id(problem, context), problem.stage, changes, needed, result, context, basis)

    def _new_id(self, problem: ReconfigurationProblem, context: Context) -> str:
        with self._lock:
            return f"{problem.stage}-{context.etag}-{self._boot}-{next(self._number)}"

    def _late_relief(
        self,
        problem: ReconfigurationProblem,
        in_time: Result[ReconfigurationPlan],
        deadline_s: float,
        settings: Settings,
        workers: Workers | None,
        cancel: threading.Event | None = None,
    ) -> Result[ReconfigurationPlan]:
        """Where what acts in time leaves a domain over its limit, late relief is better than none.

        It is taken unless it gives up relief in time for relief later; the excess declared is what remains in time.
        """
        late = self._solve(problem.allowing_late_relief(), deadline_s, settings, workers, cancel)
        until_then = problem.excess_of(problem.chosen(late.plan))
        given_up = sum(until_then.values()) > sum(in_time.plan.excess.values()) * (1.0 + LATE_GIVES_UP_FRAC)
        if given_up or sum(late.plan.excess.values()) >= sum(in_time.plan.excess.values()):
            return in_time
        why = "no knob in time is enough: what is declared stays over its limit until slower ones act"
        return replace(late, plan=replace(late.plan, excess=until_then), mode=Mode.BEST_EFFORT, fallback=why)

    def _solve(
        self,
        problem: ReconfigurationProblem | HorizonProblem,
        deadline_s: float,
        settings: Settings,
        workers: Workers | None,
        cancel: threading.Event | None = None,
    ) -> Result[Any]:
        return solve(
            problem,
            solver=settings.solver,
            gap_frac=settings.gap_frac,
            seed=settings.seed,
            workers=workers,
            cancel=cancel,
            explain=settings.explain,
            **settings.stopping(deadline_s),
        )


def renewed(
    proposal: Proposal, problem: ReconfigurationProblem, context: Context, basis: Basis, gain_frac: float
) -> Proposal | None:
    """An armed plan for the problem as it is now, or None if it no longer holds.

    VMs that are gone, have moved or run something else since are left out of it, new ones stay as they are; the
    checker then judges the whole. It holds if nothing is broken and no more excess remains than it declares. Why
    changes were not made is not asked: that would take longer than all the rest, and a solve follows that says it.
    """
    number = {name: c for c, name in enumerate(problem.choices.names)}
    choice, before, now = problem.current.copy(), proposal.basis.vms, basis.vms
    for i, name in enumerate(problem.instances):
        planned = proposal.changes.get(name)
        if planned in number and before.get(name) == now.get(name):
            choice[i] = number[planned]
    plan = problem.plan(choice)
    judged = _judged_in_time_or_late(problem, plan)
    declared = sum(proposal.result.plan.excess.values()) * (1.0 + EXCESS_GROWTH_FRAC)
    if judged is None or sum(plan.excess.values()) > declared:
        return None
    result = replace(
        proposal.result,
        plan=plan,
        status=Status.FEASIBLE,
        mode=Mode.BEST_EFFORT if plan.excess else Mode.GREEDY,
        solver="armed",
        checked=judged,
        bound=0.0,
        fallback=f"armed at {proposal.context.etag}, and found to hold now",
        why_not=(),
        binding=reconfiguration_check.binding(problem, plan),
    )
    changes = _changes(problem, plan)
    needed = bool(changes) and _worth_it(problem, result, gain_frac)
    return replace(proposal, changes=changes, needed=needed, result=result, context=context, basis=basis)


def _judged_in_time_or_late(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> CheckReport | None:
    """What the checker says of a plan that declares its excess; late relief is taken where it declares any."""
    allowed = problem.with_allowed_excess(plan.excess)
    report = reconfiguration_check.check(allowed, plan)
    if not report.ok and plan.excess:
        report = reconfiguration_check.check(allowed.allowing_late_relief(), plan)
    return report if report.ok else None


def _changes(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> dict[str, str]:
    now = problem.present().choice_of
    return {name: choice for name, choice in plan.choice_of.items() if choice != now[name]}


def _waves_ahead(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[WaveAhead, ...]:
    seconds = reconfiguration_check.wave_seconds(problem, plan)
    return tuple(map(WaveAhead, seconds, reconfiguration_check.wave_shortfalls(problem, plan)))


def _worth_it(problem: ReconfigurationProblem, result: Result[Any], gain_frac: float) -> bool:
    """The running plan breaks something, or the gain exceeds the price of the changes by the margin set.

    Part of that price is what goes unserved while the waves run.
    """
    present = problem.present()
    if present.excess:
        return True
    report = reconfiguration_check.check(problem, present)
    spent = result.objective + reconfiguration_check.transition_cost(problem, result.plan)
    return not report.ok or spent < report.objective * (1.0 - gain_frac)


def applied(proposal: Proposal, approver: str, at_s: float | None = None) -> happened.PlanApplied:
    """The event that a proposal becomes when it is applied."""
    order = tuple(tuple(name for name in wave if name in proposal.changes) for wave in proposal.result.plan.waves)
    order = tuple(wave for wave in order if wave)
    return happened.PlanApplied(proposal.plan_id, proposal.stage.value, dict(proposal.changes), approver, order, at_s)

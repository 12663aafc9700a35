"""Decisions of reconfiguration: what answers a failure, what is armed for one, and where to settle afterwards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from tapas_opt.control import events as happened
from tapas_opt.control.answers import Context, FailureAnswer, Proposal
from tapas_opt.control.arming import Armed, listed_failures
from tapas_opt.control.ground import Ground
from tapas_opt.control.horizon import horizon_problem
from tapas_opt.control.plans import applied, renewed
from tapas_opt.control.reconfiguring import reconfiguration_problem
from tapas_opt.control.settings import Settings
from tapas_opt.domain.failure import Failure, effect_of
from tapas_opt.errors import Conflict, InvalidInput
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage
from tapas_opt.solve.undisturbed import undisturbed

__all__ = ["ReconfigurationDecisions"]


class ReconfigurationDecisions(Ground):
    """Plans the next choice of every instance."""

    # Failures.

    def report_failure(self, failure: Failure, *, now_s: float, deadline_s: float) -> FailureAnswer:
        """Take note of a failure and plan what to do this second; publish it where the mode is ``act``."""
        with undisturbed():
            return self._failure_answer(failure, now_s, deadline_s, self.settings.solver)

    def settled_failure(self, answer: FailureAnswer, failure: Failure, *, now_s: float) -> FailureAnswer:
        """The answer, or, if what it was planned on has changed since, a greedy one for the fleet as it is.

        Call it with the lock held, right before the events are made durable: two failures may come at once.
        """
        if answer.proposal is None or answer.proposal.basis == self.fleet.basis(self._failures_with(failure)):
            return answer
        return self._failure_answer(failure, now_s, 0.0, "greedy")

    def _failures_with(self, failure: Failure) -> tuple[Failure, ...]:
        known = (known for label, known in self.fleet.failures.items() if label != failure.label)
        return (*known, failure)

    def _failure_answer(self, failure: Failure, now_s: float, deadline_s: float, solver: str) -> FailureAnswer:
        with self.lock:
            failures = self._failures_with(failure)
            effect_of(self.fleet.topology, failures)
            problem, context = self._reconfiguration(Stage.NOW, failures, now_s)
            basis = self.fleet.basis(failures)
            armed = self.arming.of(failures)
        proposal = None if armed is None else renewed(armed.proposal, problem, context, basis, self.settings.gain_frac)
        kept = proposal is not None
        if proposal is None:
            hurried = replace(self._hurried, solver=solver)
            proposal = self._plans.propose(problem, context, basis, min(deadline_s, hurried.emergency_s), hurried)
        else:
            self._plans.keep(proposal)
        # What is armed was made with headroom; and what is slow may be in time once the fast knobs have acted.
        self.aftermath.improvable = kept or bool(proposal.result.plan.excess)
        published = self.fleet.mode is happened.OperatingMode.ACT and proposal.needed
        noted: tuple[happened.Event, ...] = (happened.FailureReported(failure),)
        plan = (applied(proposal, "tapas-opt", now_s),) if published else ()
        return FailureAnswer(proposal, published, (*noted, *plan))

    @property
    def _hurried(self) -> Settings:
        return replace(self.settings, gap_frac=self.settings.emergency_gap_frac)

    def arm(self, now_s: float) -> bool:
        """Look at one failure that may come, if any is due: see that its plan still holds, or make one.

        At most one solve, by the processes that are not reserved for emergencies. Says whether any was due.
        """
        if self.settings.arm_every_s <= 0.0:
            return False
        with self.lock:
            targets = listed_failures(self.fleet.topology, self.fleet.failures, self.settings.arm_for)
            version = self.arming.version_of(self.fleet)
            failures = self.arming.due(targets, version, now_s, self.settings.arm_every_s)
            if failures is None:
                return False
            forecast = self.outlook.next_hour(now_s, failures)
            context, basis, forecast = self.outlook.context(forecast), self.fleet.basis(failures), forecast.apart()
        problem = reconfiguration_problem(forecast, Stage.NOW, self._actuation)
        at_stake_w = float(sum(problem.present().excess.values()))
        before = self.arming.of(failures)
        if before is not None and before.fresh(version, now_s):
            gain_frac = self.settings.gain_frac
            if renewed(before.proposal, problem, context, basis, gain_frac) is not None:
                self.arming.keep(replace(before, looked_at_s=now_s, at_stake_w=at_stake_w))
                return True
        proposal = self._plans.arm(problem, context, basis, self.settings.emergency_s, self._hurried)
        self.arming.keep(Armed(failures, proposal, now_s, now_s, at_stake_w, version))
        self.news.tell()
        return True

    # After a failure, and at any time.

    def follow_up(self, now_s: float) -> Proposal | None:
        """Plan what a failure, or its end, calls for later, if that is due: something better than an armed plan.

        And, once all has calmed down, where to settle. Settle what comes of it with :meth:`settled_follow_up`.
        """
        with self.lock:
            stage = self.aftermath.due(self.fleet, now_s, self.settings.settle_after_s)
        if stage is None:
            return None
        deadline_s = self.settings.emergency_s if stage is Stage.NOW else self.settings.settle_s
        proposal = self.plan_reconfiguration(stage, now_s=now_s, deadline_s=deadline_s)
        with self.lock:
            self.aftermath.note(proposal)
        return proposal

    def settled_follow_up(self, proposal: Proposal, now_s: float) -> tuple[happened.Event, ...]:
        """Publish it in mode ``act``, if it is worth its changes and nothing it stands on has changed meanwhile.

        Call it with the lock held, right before the events are made durable.
        """
        stands = proposal.basis == self.fleet.basis(self.fleet.failures.values())
        if not stands or not proposal.needed or self.fleet.mode is not happened.OperatingMode.ACT:
            return ()
        return (applied(proposal, "tapas-opt", now_s),)

    def plan_reconfiguration(
        self,
        stage: Stage,
        *,
        now_s: float,
        deadline_s: float,
        cancel: threading.Event | None = None,
        explain: bool = False,
        horizon_slots: int = 0,
    ) -> Proposal:
        """Plan the next choice of every SaaS instance under the present failures; nothing is applied.

        For stage Now the solver gets no longer than for a failure, which would have to wait for it. Once ``cancel`` is
        set, what has been found by then is the plan. ``explain`` asks for shadow prices as well. With
        ``horizon_slots``, stage Settled is planned slot by slot; the proposal is what is to be done in the first.
        """
        if horizon_slots:
            return self._plan_over(stage, horizon_slots, now_s, deadline_s, cancel)
        if stage is Stage.NOW:
            deadline_s = min(deadline_s, self.settings.emergency_s)
        with self.lock:
            failures = tuple(self.fleet.failures.values())
            problem, context = self._reconfiguration(stage, failures, now_s)
            basis = self.fleet.basis(failures)
        settings = replace(self.settings, explain=explain)
        return self._plans.propose(problem, context, basis, deadline_s, settings, cancel)

    def _plan_over(
        self, stage: Stage, slots: int, now_s: float, deadline_s: float, cancel: threading.Event | None
    ) -> Proposal:
        if stage is not Stage.SETTLED:
            what = f"{slots}: an emergency has no later slots; ask for stage settled, or leave it out"
            raise InvalidInput.one("plan", "horizon_slots", what)
        with self.lock:
            failures = tuple(self.fleet.failures.values())
            forecast = self.outlook.next_hour(now_s, failures)
            problem = horizon_problem(forecast, self._actuation, slots)
            context, basis = self.outlook.context(forecast), self.fleet.basis(failures)
        return self._plans.propose_over(problem, context, basis, deadline_s, self.settings, cancel)

    def apply_plan(
        self, plan_id: str, etag: str | None, approver: str, *, now_s: float | None = None
    ) -> tuple[happened.Event, ...]:
        """Apply a proposal, unless failures, site, endpoints or VMs that it was made for have changed since.

        ``etag``, if given, must be the proposal's or the present one. In mode ``shadow`` nothing is applied.
        """
        with self.lock:
            if self.fleet.mode is happened.OperatingMode.SHADOW:
                raise Conflict(f"plan {plan_id} is not applied in mode {self.fleet.mode}; set mode advise or act")
            proposal = self._plans.known(plan_id)
            made_at = proposal.context.etag
            if etag != made_at:
                self._expect(etag)
            if proposal.basis != self.fleet.basis(self.fleet.failures.values()):
                raise Conflict(
                    f"plan {plan_id} was made at {made_at}, now is {self.fleet.etag}: "
                    "failures, site, endpoints or VMs are others; plan again"
                )
            return (applied(proposal, approver, now_s),)

    def reconfiguration_problem(
        self, stage: Stage, failures: Sequence[Failure], *, now_s: float
    ) -> ReconfigurationProblem:
        """State what a reconfiguration under these failures would solve now."""
        with self.lock:
            return self._reconfiguration(stage, tuple(failures), now_s)[0]

    def _reconfiguration(
        self, stage: Stage, failures: tuple[Failure, ...], now_s: float
    ) -> tuple[ReconfigurationProblem, Context]:
        forecast = self.outlook.next_hour(now_s, failures)
        return reconfiguration_problem(forecast, stage, self._actuation), self.outlook.context(forecast)

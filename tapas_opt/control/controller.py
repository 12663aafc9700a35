"""The controller: every decision of the service, made from a fleet, learned models and telemetry.

It has no clock and no network: ``now_s`` is given. A decision comes back as an answer with events; whoever keeps the
journal makes them durable and then calls :meth:`Controller.apply`. Solves run outside the lock, commits inside it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tapas_opt.budgets.numbers import budget_numbers
from tapas_opt.control import events as happened
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.aftermath import Aftermath, unattended
from tapas_opt.control.answers import (
    Context,
    DomainLoad,
    FailureAnswer,
    PlacementAnswer,
    Proposal,
    ServerVerdict,
    SyncAnswer,
)
from tapas_opt.control.arming import Armed, Arming, failures_of, listed_failures
from tapas_opt.control.fleet import Fleet, FleetVm, VmState
from tapas_opt.control.forecast import Forecast, Profiles
from tapas_opt.control.horizon import horizon_problem
from tapas_opt.control.news import News
from tapas_opt.control.outlook import Outlook
from tapas_opt.control.parts import alone, entries_of, on_servers, without_their_gpus
from tapas_opt.control.placing import placement_problem
from tapas_opt.control.plans import Plans, applied, renewed
from tapas_opt.control.reconfiguring import reconfiguration_problem
from tapas_opt.control.recorder import Met, unrecorded
from tapas_opt.control.requests import endpoint_faults, placed_faults, reservation_faults, vm_faults
from tapas_opt.control.router import Router
from tapas_opt.control.securing import Securing
from tapas_opt.control.settings import Settings
from tapas_opt.control.syncing import differences
from tapas_opt.control.telemetry import Late, Latest, Readings
from tapas_opt.control.tracking import Tracking
from tapas_opt.domain.failure import Failure, FailureSource, effect_of
from tapas_opt.domain.result import Constraint, Result
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm
from tapas_opt.errors import Conflict, InvalidInput, NotFound
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Workers
from tapas_opt.placement import check as placement_check
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.check import failure_costs
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage
from tapas_opt.solve import solve

__all__ = ["Controller", "Settings"]


class Controller:
    """Decides; see the module. Public methods are safe to call from several threads.

    Parameters
    ----------
    workers
        Processes for the solvers of placement and of settled reconfiguration.
    urgent_workers
        Those of failures, stage Now and the routing plan, which must not wait behind the former; the same if not given.
    met
        Told of each problem with its answer, such as to record it; does not keep its caller waiting.
    """

    def __init__(
        self,
        site: Site,
        models: LearnedModels,
        profiles: Profiles,
        *,
        workers: Workers | None = None,
        urgent_workers: Workers | None = None,
        settings: Settings | None = None,
        actuation: Actuation | None = None,
        met: Met = unrecorded,
    ) -> None:
        self.lock = threading.RLock()
        self._met = met
        self.fleet = Fleet(site)
        models.check_covers(self.fleet.topology)
        self.settings = settings or Settings()
        self.outlook = Outlook(self.fleet, models, profiles, self.settings.outdoor_rise_c)
        self.router = Router(self.settings.seed)
        self._workers = workers
        self._urgent_workers = urgent_workers or workers
        self._actuation = actuation or Actuation()
        self._securing = Securing(self._actuation, self.settings.arm_for)
        self._plans = Plans(workers, self._urgent_workers, met)
        self.arming = Arming()
        self.aftermath = Aftermath()
        self.news = News()
        for labels in self.settings.arm_for:
            effect_of(self.fleet.topology, failures_of(labels))

    @property
    def models(self) -> LearnedModels:
        """What was learned of the site."""
        return self.outlook.models

    @property
    def profiles(self) -> Profiles:
        """Profiles by configuration and hardware."""
        return self.outlook.profiles

    @property
    def latest(self) -> Latest:
        """What the sensors said last."""
        return self.outlook.latest

    # What happened.

    def apply(self, events: Iterable[happened.Event]) -> None:
        """Add events that are durable now; routing follows at once where it must."""
        with self.lock:
            before = self.fleet.generation
            self.fleet.apply(events)
            if self.fleet.generation != before:
                self.router.note_change(self.fleet)
        self.news.tell()

    def observe(self, readings: Readings) -> list[Late]:
        """Take telemetry in; return what of it says nothing new."""
        with self.lock:
            return self.outlook.observe(readings)

    def restore_tracking(self, raw: object) -> None:
        """Go on from biases tracked before; raises InvalidInput where they are damaged."""
        with self.lock:
            self.outlook.tracking = Tracking.restored(raw, self.fleet.topology, self.models)

    def forget_tracking(self, why: str) -> None:
        """Track biases anew, because what was known of them is lost."""
        with self.lock:
            self.outlook.tracking = Tracking(self.fleet.topology, self.models, lost=why)

    def tick(self, now_s: float) -> tuple[happened.Event, ...]:
        """What nobody has to ask for: reservations expire, and the next wave of a plan starts when one is done.

        What follows a wave whose agents say nothing for a lease is given up. In mode ``shadow`` no wave starts.
        """
        with self.lock:
            names = sorted(name for name, placed in self.fleet.vms.items() if placed.expires_at_s <= now_s)
            expired = (happened.VmsReleased(tuple(names), "expired"),) if names else ()
            if self.fleet.mode is happened.OperatingMode.SHADOW:
                return expired
            if self.fleet.wave_done():
                return (*expired, happened.WaveStarted(at_s=now_s))
            silent = self.fleet.silent_since(now_s - self.settings.lease_s)
            return (*expired, happened.WaveGivenUp(silent)) if silent else expired

    # Site and fleet.

    def apply_site(self, site: Site, etag: str | None) -> tuple[happened.Event, ...]:
        """Change the site; servers that hold VMs and elements that have failed must stay.

        ``etag``, if given, must be the present one.
        """
        with self.lock:
            self._expect(etag)
            topology = Fleet(site).topology
            self.models.check_covers(topology)
            servers = {server.name for server in site.servers()}
            lost = sorted({p.server for p in self.fleet.vms.values()} - servers)
            if lost:
                raise Conflict(f"servers {', '.join(lost[:5])} hold VMs but are not in the new site; release these")
            gone = [label for label, failure in self.fleet.failures.items() if not _knows(topology, failure)]
            if gone:
                raise Conflict(f"the elements of {', '.join(gone)} have failed but are not in the new site; clear them")
            gone = [label for label, outage in self.fleet.outages.items() if not _knows(topology, outage)]
            if gone:
                raise Conflict(f"outages are planned of {', '.join(gone)}, not in the new site; cancel them first")
            short = without_their_gpus(self.fleet, topology)
            if short:
                raise Conflict(f"VMs {', '.join(short[:5])} have GPUs that their servers do not have in the new site")
            homeless = [one for one in self.fleet.reservations.values() if reservation_faults(Fleet(site), one)]
            if homeless:
                names = ", ".join(one.name for one in homeless)
                raise Conflict(f"the new site has not what is kept back by {names}; remove these reservations first")
            return (happened.SiteApplied(site),)

    def put_endpoint(self, endpoint: Endpoint) -> tuple[happened.Event, ...]:
        """Make or change an endpoint."""
        faults = endpoint_faults(endpoint, self.profiles)
        if faults:
            raise InvalidInput(f"endpoint {endpoint.name}", faults)
        return (happened.EndpointPut(endpoint),)

    def set_server_state(self, server: str, state: happened.ServerState) -> tuple[happened.Event, ...]:
        """Cordon, drain or return a server."""
        with self.lock:
            self.fleet.server_number(server)
        return (happened.ServerStateSet(server, state),)

    def put_reservation(self, reservation: Reservation) -> tuple[happened.Event, ...]:
        """Keep servers back, for a tenant or for failover."""
        with self.lock:
            faults = reservation_faults(self.fleet, reservation)
            if faults:
                raise InvalidInput(f"reservation {reservation.name}", faults)
        return (happened.ReservationPut(reservation),)

    def remove_reservation(self, name: str) -> tuple[happened.Event, ...]:
        """Keep these servers back no longer."""
        with self.lock:
            if name not in self.fleet.reservations:
                known = ", ".join(sorted(self.fleet.reservations)) or "there is none"
                raise NotFound("reservation", name, known)
        return (happened.ReservationRemoved(name),)

    def set_mode(self, mode: happened.OperatingMode) -> tuple[happened.Event, ...]:
        """Watch, advise or act from now on."""
        return (happened.ModeSet(mode),)

    def adopt(self, vms: Sequence[happened.VmOnServer], groups: Sequence[Group] = ()) -> tuple[happened.Event, ...]:
        """Take over VMs that run already, wherever they are."""
        with self.lock:
            faults = placed_faults(self.fleet, self.profiles, vms, groups)
            if faults:
                raise InvalidInput("VMs to adopt", faults)
        return (*(happened.GroupPut(group) for group in groups), happened.VmsAdopted(tuple(vms)))

    def sync(self, vms: Sequence[happened.VmOnServer]) -> SyncAnswer:
        """Take a list of all that runs as the truth; say how it differs from what was known, and make it so.

        A reservation that has not been confirmed need not be on the list, unless another VM is on its server. A VM of
        a known name that is another one counts as moved.
        """
        with self.lock:
            return differences(self.fleet, self.profiles, vms)

    # Placement.

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

    def confirm(self, names: Sequence[str]) -> tuple[happened.Event, ...]:
        """Reserved VMs run now; confirming a running one changes nothing."""
        with self.lock:
            placed = self._all_known(names)
        waiting = tuple(item.vm.name for item in placed if item.state is VmState.RESERVED)
        return (happened.VmsConfirmed(waiting),) if waiting else ()

    def release(self, names: Sequence[str]) -> tuple[happened.Event, ...]:
        """VMs are gone; NotFound names every one that is not there (any more)."""
        with self.lock:
            self._all_known(names)
        return (happened.VmsReleased(tuple(names)),)

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

    # Failures and reconfiguration.

    def report_failure(self, failure: Failure, *, now_s: float, deadline_s: float) -> FailureAnswer:
        """Take note of a failure and plan what to do this second; publish it where the mode is ``act``."""
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

    # After a failure.

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

    def schedule_outage(self, outage: Failure, *, now_s: float) -> tuple[happened.Event, ...]:
        """Plan placements so that they bear an element being out of service for a time.

        When it begins, its failure is reported as any other.
        """
        with self.lock:
            effect_of(self.fleet.topology, (outage,))
        if outage.started_at_s + outage.expected_duration_s <= now_s:
            raise InvalidInput.one(f"outage {outage.label}", "expected_duration_s", "is over already; give a later end")
        return (happened.OutageScheduled(replace(outage, source=FailureSource.PLANNED)),)

    def cancel_outage(self, label: str) -> tuple[happened.Event, ...]:
        """Plan for an outage no longer."""
        with self.lock:
            if label not in self.fleet.outages:
                known = ", ".join(self.fleet.outages) or "none is planned"
                raise NotFound("outage", label, known)
        return (happened.OutageCancelled(label),)

    def clear_failure(self, label: str) -> tuple[happened.Event, ...]:
        """An element works again."""
        with self.lock:
            if label not in self.fleet.failures:
                known = ", ".join(self.fleet.failures) or "none is reported"
                raise NotFound("failure", label, known)
        return (happened.FailureCleared(label),)

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

    def acknowledge(self, vm: str, generation: int, watts_freed: float | None) -> tuple[happened.Event, ...]:
        """An agent says that a VM runs the choice of a generation."""
        with self.lock:
            placed = self.fleet.vm(vm)
            if not 1 <= generation <= placed.generation:
                raise InvalidInput.one(f"VM {vm}", "generation", f"{generation}: must be 1 to {placed.generation}")
        return (happened.ConfigurationAcknowledged(vm, generation, watts_freed),)

    # Routing.

    def refresh_routes(self, *, now_s: float, deadline_s: float = 0.5) -> bool:
        """Make the routing plan anew if it is due; says whether it was."""
        with self.lock:
            if not self.router.due(now_s, self.settings.route_every_s):
                return False
            forecast = self.outlook.next_hour(now_s)
            problem = self.router.problem(forecast)
            context = self.outlook.context(forecast)
        plan = self.router.plan(
            problem, deadline_s=deadline_s, solver=self.settings.solver, workers=self._urgent_workers
        )
        self._met(problem, plan)
        with self.lock:
            self.router.use(problem, plan, context, fleet=self.fleet, now_s=now_s, every_s=self.settings.route_every_s)
        return True

    # How it stands.

    def domain_loads(self, now_s: float) -> tuple[DomainLoad, ...]:
        """What every budget carries in this hour and the next, without margins."""
        with self.lock:
            forecast = self.outlook.next_hour(now_s, warmer_c=0.0)
            power, airflow = forecast.present_draw(frozenset())
            numbers = budget_numbers(self.fleet.topology, forecast.effect, ("now",), power, airflow, {})
        return tuple(
            DomainLoad(family.constraint, name, float(load), float(limit), family.unit)
            for family in numbers.families
            for name, load, limit in zip(family.domains, family.base[:, 0], family.limit[:, 0], strict=True)
        )

    def warnings(self, now_s: float) -> tuple[str, ...]:
        """What an operator should look at, one sentence each.

        Models that drift, sensors and meters not believed, failures that last, agents that are silent, plans that wait.
        """
        with self.lock:
            waiting = unattended(self.fleet, now_s, self.settings.lease_s)
            return (*waiting, *self.aftermath.advice(self.fleet), *self.outlook.warnings(now_s))

    # Problems, for those who judge plans by themselves.

    def placement_problem(self, vms: Sequence[Vm], groups: Sequence[Group], *, now_s: float) -> PlacementProblem:
        """State what :meth:`place` would solve now."""
        with self.lock:
            return self._placement(vms, groups, now_s)[0]

    def reconfiguration_problem(
        self, stage: Stage, failures: Sequence[Failure], *, now_s: float
    ) -> ReconfigurationProblem:
        """State what a reconfiguration under these failures would solve now."""
        with self.lock:
            return self._reconfiguration(stage, tuple(failures), now_s)[0]

    def forecast_next_hour(self, *, now_s: float) -> Forecast:
        """What routing and reconfiguration would plan on now."""
        with self.lock:
            return self.outlook.next_hour(now_s)

    # Inside.

    def _expect(self, etag: str | None) -> None:
        if etag and etag != self.fleet.etag:
            raise Conflict(f"the fleet is at {self.fleet.etag}, not at {etag}; read it again")

    def _all_known(self, names: Sequence[str]) -> list[FleetVm]:
        missing = [name for name in names if name not in self.fleet.vms]
        if missing:
            raise NotFound("VM", ", ".join(missing), "it was never placed, or was released already")
        return [self.fleet.vms[name] for name in names]

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
            deadline_s=deadline_s,
            gap_frac=settings.gap_frac,
            seed=settings.seed,
            workers=self._workers,
            cancel=cancel,
            explain=settings.explain,
        )
        self._met(problem, result)
        held = on_servers(problem, result.plan, vms)
        put = tuple(happened.GroupPut(group) for group in groups)
        reserved = (happened.VmsReserved(held, now_s + self.settings.reservation_s),) if held else ()
        failures = failure_costs(problem, result.plan)
        return PlacementAnswer(tuple(vms), held, result, context, (*put, *reserved), failures)

    def _reconfiguration(
        self, stage: Stage, failures: tuple[Failure, ...], now_s: float
    ) -> tuple[ReconfigurationProblem, Context]:
        forecast = self.outlook.next_hour(now_s, failures)
        return reconfiguration_problem(forecast, stage, self._actuation), self.outlook.context(forecast)


def _knows(topology: Topology, failure: Failure) -> bool:
    """Whether the element of a failure is there."""
    try:
        effect_of(topology, (failure,))
    except NotFound:
        return False
    return True


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

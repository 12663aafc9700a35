"""One policy through a story: who is asked what, when, and what is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Vm
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.metrics import metrics_of, relief_s
from tapas_opt.simulation.policy import REVIEW_EVERY_S, Orders, Policy, Request, Shares
from tapas_opt.simulation.record import Moment, Record, stacked
from tapas_opt.simulation.story import Arrival, FailureAt, Story
from tapas_opt.simulation.tally import Tally

__all__ = ["run_story"]

OBSERVE_EVERY_S = 60.0
OBSERVE_TENSE_S = 10.0
SETTLE_AFTER_S = 30.0
"""A failure, or its end, is looked at again so long after: what could not be done within seconds is done then."""

SAME_MOMENT_S = 1e-6


def run_story(
    story: Story,
    room: MachineRoom,
    policy: Policy,
    started: Mapping[str, Profile],
    on_step: Callable[[float], None] = lambda _: None,
) -> Record:
    """Take a policy through a story in a machine room.

    Parameters
    ----------
    started
        By endpoint: the profile of the configuration that its instances start with.
    on_step
        Called with the length of each step, for a progress bar.
    """
    return _Course(story, room, policy, started).run(on_step)


class _Course:
    """A policy on its way through a story: each step begins with what happens then, and ends with a sample."""

    def __init__(self, story: Story, room: MachineRoom, policy: Policy, started: Mapping[str, Profile]) -> None:
        self._story = story
        self._room = room
        self._policy = policy
        self._started = started
        self._asked_for: dict[str, Vm] = {}
        self._planned: Mapping[str, float] = {}
        self._wanted = 0, 0
        self._coming = self._timeline()
        self._observed_s = self._reviewed_s = -np.inf
        self._second_looks_s: list[float] = []
        self._shares: Shares = {}
        self._routed_anew_s = -np.inf
        self._tally = Tally()
        self._steps_s: list[float] = []
        self._moments: list[Moment] = []

    def run(self, on_step: Callable[[float], None]) -> Record:
        """From the first step to the last."""
        self._adopt(self._story.start_s)
        self._ask_for(self._story.running, self._story.start_s)
        for now_s, length_s in self._story.steps():
            self._let_happen(now_s)
            self._look(now_s)
            self._route(now_s, length_s)
            self._step(now_s, length_s)
            on_step(length_s)
        record = stacked(self._policy.name, self._room.topology, self._moments, self._tally.incidents)
        return replace(
            record,
            metrics=metrics_of(record, self._steps_s, self._story.failures, self._tally),
            relief_s=tuple(relief_s(record, item, self._story.failures) for item in self._story.failures),
            traffic=self._tally.traffic,
            hottest_s=self._tally.hottest_s,
            hottest_gpus_c=self._tally.hottest_gpus_c,
        )

    # What happens.

    def _timeline(self) -> list[tuple[float, Callable[[float], None]]]:
        """What is to come, in order; at the same moment failures before repairs before VMs."""
        coming: list[tuple[float, Callable[[float], None]]] = [
            *((item.at_s, partial(self._fail, item)) for item in self._story.failures),
            *((item.until_s, partial(self._clear, item)) for item in self._story.failures),
            *((at_s, partial(self._announce, item)) for at_s, item in self._announced()),
            *((item.at_s, partial(self._arrive, item)) for item in self._story.arrivals),
        ]
        return sorted(coming, key=lambda entry: entry[0])

    def _let_happen(self, now_s: float) -> None:
        while self._coming and self._coming[0][0] <= now_s + SAME_MOMENT_S:
            _, happen = self._coming.pop(0)
            happen(now_s)
        for name in self._room.act(now_s):
            self._policy.applied(name, now_s)

    def _fail(self, item: FailureAt, now_s: float) -> None:
        self._room.plant.fail(item.failure)
        self._tally.note(item.at_s, f"{item.failure.label} fails")
        self._routed_anew_s = now_s + self._room.actuation.publish_s
        self._order(self._tally.decided(lambda: self._policy.failed(item.failure, now_s)), now_s)
        self._reviewed_s = now_s
        self._second_looks_s.append(now_s + SETTLE_AFTER_S)

    def _clear(self, item: FailureAt, now_s: float) -> None:
        self._room.plant.clear(item.failure)
        self._tally.note(item.until_s, f"{item.failure.label} works again")
        self._order(self._policy.cleared(item.failure, now_s), now_s)
        self._second_looks_s.append(now_s + SETTLE_AFTER_S)

    def _announced(self) -> list[tuple[float, FailureAt]]:
        """Outages by plan, and when they are told of: what was announced before is known when the story begins."""
        start_s = self._story.start_s
        told = ((item.announced_at_s, item) for item in self._story.failures)
        return [(max(at_s, start_s), item) for at_s, item in told if at_s is not None]

    def _announce(self, item: FailureAt, now_s: float) -> None:
        self._policy.announced(item.failure, now_s)

    def _arrive(self, arrival: Arrival, now_s: float) -> None:
        self._leave(arrival.leaving, now_s)
        self._ask_for(arrival.vms, now_s)

    # VMs.

    def _adopt(self, now_s: float) -> None:
        there = self._story.adopted
        if not there:
            return
        self._note_asked([vm for vm, _ in there])
        self._policy.adopt(there, self._story.groups, now_s)
        for vm, server in there:
            self._host(vm, server)
        self._tally.vms_adopted += len(there)
        self._tally.vms_placed += len(there)

    def _ask_for(self, vms: Sequence[Vm], now_s: float) -> None:
        if not vms:
            return
        self._note_asked(vms)
        found = self._tally.decided(lambda: self._policy.place(vms, self._story.groups, now_s))
        for vm in vms:
            if vm.name in found:
                self._host(vm, found[vm.name])
        self._tally.vms_placed += len(found)
        self._tally.vms_rejected += len(vms) - len(found)

    def _note_asked(self, vms: Sequence[Vm]) -> None:
        self._asked_for |= {vm.name: vm for vm in vms}
        self._sum_up()

    def _sum_up(self) -> None:
        """What is planned for, and how many instances and tenants' VMs are wanted, after either has changed."""
        vms = self._asked_for.values()
        self._planned = self._story.planned_tokens_per_s(vms)
        instances = sum(vm.endpoint is not None for vm in vms)
        self._wanted = instances, len(vms) - instances

    def _host(self, vm: Vm, server: str) -> None:
        self._room.host(vm, server, self._started.get(vm.endpoint or ""))

    def _leave(self, names: Sequence[str], now_s: float) -> None:
        for name in names:
            self._asked_for.pop(name, None)
        self._sum_up()
        here = [name for name in names if name in self._room.running]
        if here:
            self._policy.release(here, now_s)
            self._room.evict(here)

    # What the policy is asked, and what it orders.

    def _look(self, now_s: float) -> None:
        tense = self._story.is_tense(now_s)
        if now_s - self._observed_s >= (OBSERVE_TENSE_S if tense else OBSERVE_EVERY_S):
            self._observed_s = now_s
            self._order(self._policy.observe(self._room.telemetry(self._demand(now_s))), now_s)
        second_look = any(t_s <= now_s for t_s in self._second_looks_s)
        if second_look or now_s - self._reviewed_s >= REVIEW_EVERY_S:
            self._second_looks_s = [t_s for t_s in self._second_looks_s if t_s > now_s]
            self._reviewed_s = now_s
            self._order(self._tally.decided(lambda: self._policy.review(now_s)), now_s)

    def _order(self, orders: Orders, now_s: float) -> None:
        if orders:
            self._room.order(orders, now_s)
            self._tally.ordered(orders, now_s)

    def _route(self, now_s: float, length_s: float) -> None:
        if not self._story.requests:
            return
        requests = self._requests(now_s, now_s + length_s)
        routed = self._policy.route(requests, now_s)
        self._tally.requests_routed += routed
        self._tally.requests_refused += len(requests) - routed

    def _requests(self, from_s: float, until_s: float) -> list[Request]:
        story = self._story
        return [request for name in story.requests for request in story.requests_between(name, from_s, until_s)]

    # What happens to the room.

    def _step(self, now_s: float, length_s: float) -> None:
        demand = self._demand(now_s)
        moment = self._room.step(length_s, demand, self._spread(now_s))
        self._tally.count(self._room.answered)
        instances, tenants = self._wanted
        self._tally.ask(length_s, sum(demand.values()), moment.served_frac, instances, tenants)
        running, capped = len(self._room.running), self._room.capped
        self._tally.look_within(self._room.plant.truth, moment.row_budget_w)
        for name in self._tally.step(self._room.plant.truth, length_s, running, capped):
            self._tally.note(moment.t_s, f"{name} trips under overload")
        self._moments.append(moment)
        self._steps_s.append(length_s)

    def _spread(self, now_s: float) -> Shares:
        """What gateways go by: they hear of a failure when its plan is published, as actuators do."""
        if now_s >= self._routed_anew_s - SAME_MOMENT_S:
            self._shares = self._policy.shares(now_s)
        return self._shares

    def _demand(self, now_s: float) -> dict[str, float]:
        return self._story.demand_tokens_per_s(now_s, self._planned)

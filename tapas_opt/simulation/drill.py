"""One policy through one day: who is asked what, when, and what is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Vm
from tapas_opt.simulation.day import Day, FailureAt
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.metrics import metrics_of
from tapas_opt.simulation.policy import Orders, Policy, Request
from tapas_opt.simulation.record import Incident, Moment, Record, stacked

__all__ = ["run_day"]

OBSERVE_EVERY_S = 60.0
OBSERVE_TENSE_S = 10.0
REVIEW_EVERY_S = 900.0
SETTLE_AFTER_S = 30.0
"""A failure, or its end, is looked at again so long after: what could not be done within seconds is done then."""


class _Drill:
    def __init__(self, day: Day, room: MachineRoom, policy: Policy, started: Mapping[str, Profile]) -> None:
        self.day = day
        self.room = room
        self.policy = policy
        self.started = started
        self.present: list[Vm] = []
        self.moments: list[Moment] = []
        self.steps: list[float] = []
        self.incidents: list[Incident] = []
        self.counted = dict.fromkeys(
            ("vms_placed", "vms_rejected", "requests_routed", "requests_refused", "configuration_changes"), 0
        )
        self.energy_j = 0.0
        self.tolerance_used = 0.0
        self.slowed: set[str] = set()
        self.throttled: NDArray[np.bool_] = np.zeros(len(room.topology.servers), dtype=bool)
        self.throttle_events = 0
        self.power_throttle_events = 0
        self._arrivals = list(day.arrivals)
        self._observed_s = self._reviewed_s = -np.inf
        self._extra_reviews: list[float] = []
        self._tripped: set[str] = set()

    def run(self, on_step: Callable[[float], None]) -> Record:
        self._ask_for(self.day.running, self.day.start_s)
        for now, length in self.day.steps():
            self._events(now)
            self._step(now, length)
            on_step(length)
        record = stacked(
            self.moments,
            policy=self.policy.name,
            rows=self.room.topology.rows,
            upses=self.room.topology.upses,
            aisles=self.room.topology.aisles,
            gpu_limit_c=min(item.gpu_temperature_limit_c for item in self.room.topology.site.hardware.values()),
            incidents=tuple(self.incidents),
        )
        return replace(record, metrics=metrics_of(record, self.steps, self.day.failures) | self._counted_metrics())

    def _counted_metrics(self) -> dict[str, float]:
        truth = self.room.plant.truth
        return {
            **self.counted,
            "ups_trips": len(truth.tripped_upses),
            "breaker_trips": len(truth.tripped_pdus) + len(truth.tripped_rows),
            "thermal_throttle_events": self.throttle_events,
            "power_throttle_events": self.power_throttle_events,
            "worst_overload_frac_of_tolerance": self.tolerance_used,
            "energy_kwh": self.energy_j / 3.6e6,
        }

    # What happens to the policy.

    def _events(self, now_s: float) -> None:
        for item in self.day.failures:
            if item.at_s == now_s:
                self._fail(item)
            if item.until_s == now_s:
                self._clear(item)
        while self._arrivals and self._arrivals[0].at_s <= now_s:
            arrival = self._arrivals.pop(0)
            self._leave(arrival.leaving, now_s)
            self._ask_for(arrival.vms, now_s)
        for name in self.room.act(now_s):
            self.policy.applied(name, now_s)
        self._look(now_s)

    def _fail(self, item: FailureAt) -> None:
        self.room.plant.fail(item.failure)
        self._note(item.at_s, f"{item.failure.label} fails")
        self._order(self.policy.failed(item.failure, item.at_s), item.at_s)
        self._reviewed_s = item.at_s
        self._extra_reviews.append(item.at_s + SETTLE_AFTER_S)

    def _clear(self, item: FailureAt) -> None:
        self.room.plant.clear(item.failure)
        self._note(item.until_s, f"{item.failure.label} works again")
        self._order(self.policy.cleared(item.failure, item.until_s), item.until_s)
        self._extra_reviews.append(item.until_s + SETTLE_AFTER_S)

    def _look(self, now_s: float) -> None:
        tense = any(item.at_s <= now_s < item.until_s for item in self.day.failures)
        if now_s - self._observed_s >= (OBSERVE_TENSE_S if tense else OBSERVE_EVERY_S):
            self._observed_s = now_s
            self._order(self.policy.observe(self.room.readings(self._demand(now_s))), now_s)
        due = [t for t in self._extra_reviews if t <= now_s]
        if due or now_s - self._reviewed_s >= REVIEW_EVERY_S:
            self._extra_reviews = [t for t in self._extra_reviews if t > now_s]
            self._reviewed_s = now_s
            self._order(self.policy.review(now_s), now_s)

    def _order(self, orders: Orders, now_s: float) -> None:
        if not orders:
            return
        self.room.order(orders, now_s)
        self.counted["configuration_changes"] += len(orders.choice_of)
        for name, frac in orders.frequency_frac_of.items():
            if frac < 1.0 and name not in self.slowed:
                self.power_throttle_events += 1
                self.slowed.add(name)
            elif frac >= 1.0:
                self.slowed.discard(name)
        if orders.why:
            self._note(now_s, orders.why)

    def _ask_for(self, vms: tuple[Vm, ...], now_s: float) -> None:
        if not vms:
            return
        self.present += vms
        found = self.policy.place(vms, self.day.groups, now_s)
        for vm in vms:
            if vm.name in found:
                self.room.host(vm, found[vm.name], self.started.get(vm.endpoint or ""))
        self.counted["vms_placed"] += len(found)
        self.counted["vms_rejected"] += len(vms) - len(found)

    def _leave(self, names: tuple[str, ...], now_s: float) -> None:
        here = [name for name in names if name in self.room.running]
        self.present = [vm for vm in self.present if vm.name not in names]
        if here:
            self.policy.release(here, now_s)
            self.room.evict(here)

    # What happens to the room.

    def _step(self, now_s: float, length_s: float) -> None:
        requests = self._requests(now_s, length_s)
        routed = self.policy.route(requests, now_s)
        self.counted["requests_routed"] += routed
        self.counted["requests_refused"] += len(requests) - routed
        moment = self.room.step(length_s, self._demand(now_s), self.policy.shares(now_s))
        self.moments.append(moment)
        self.steps.append(length_s)
        truth = self.room.plant.truth
        self.energy_j += float(truth.server_power_w.sum()) * length_s
        used = (truth.ups_tolerance_used, truth.pdu_tolerance_used, truth.row_tolerance_used)
        self.tolerance_used = max(self.tolerance_used, *(float(part.max()) for part in used))
        now_throttled = np.asarray(truth.throttled.any(axis=1))
        self.throttle_events += int((now_throttled & ~self.throttled).sum())
        self.throttled = now_throttled
        for name in {*truth.tripped_upses, *truth.tripped_pdus, *truth.tripped_rows} - self._tripped:
            self._tripped.add(name)
            self._note(moment.t_s, f"{name} trips under overload")

    def _demand(self, now_s: float) -> dict[str, float]:
        return self.day.demand_tokens_per_s(now_s, self.present)

    def _requests(self, now_s: float, length_s: float) -> list[Request]:
        return [
            request
            for endpoint in self.day.requests
            for request in self.day.requests_between(endpoint, now_s, now_s + length_s)
        ]

    def _note(self, t_s: float, text: str) -> None:
        self.incidents.append(Incident(t_s, text))


def run_day(
    day: Day,
    room: MachineRoom,
    policy: Policy,
    started: Mapping[str, Profile],
    on_step: Callable[[float], None] = lambda _: None,
) -> Record:
    """Take a policy through a day in a machine room.

    Parameters
    ----------
    started
        By endpoint: the profile of the configuration that its instances start with.
    on_step
        Called with the length of each step, for a progress bar.
    """
    return _Drill(day, room, policy, started).run(on_step)

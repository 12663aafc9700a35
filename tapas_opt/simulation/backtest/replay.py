"""Days that happened, taken through a policy: who came and went, slot by slot, and what a policy makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from tapas_opt.control.actuation import Actuation
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.backtest.counted import DEFINED, OF_ROOM, Counted, counted
from tapas_opt.simulation.backtest.kept import Kept
from tapas_opt.simulation.backtest.misses import Misses
from tapas_opt.simulation.backtest.past import Past, Stay
from tapas_opt.simulation.backtest.room import ReplayRoom
from tapas_opt.simulation.day import endpoint_of
from tapas_opt.simulation.policies.table import Known, policy_of
from tapas_opt.simulation.policy import REVIEW_EVERY_S, Orders, Policy
from tapas_opt.simulation.record import Incident, Moment, Record, stacked

__all__ = ["MEASURED", "PREDICTED", "Backtest"]

MEASURED, PREDICTED = "measured", "predicted"
"""The two records of days as they happened."""


@dataclass(frozen=True)
class Backtest:
    """Days that happened, ready to be taken through policies.

    Attributes
    ----------
    models
        What policies know, and what says what becomes of a room; learned before these days, if it is to be a test.
    anew
        Whether policies also place the VMs that ran when the days begin; they are taken over where they are otherwise.
    """

    past: Past
    models: LearnedModels
    profiles: Profiles
    anew: bool = False

    def run(self, policy: str, on_slot: Callable[[float], None] = lambda _: None) -> Record:
        """Take a policy of this name through the days; ``wall_s`` is measured."""
        began = time.perf_counter()
        record = self.through(policy_of(policy, self._known()), on_slot)
        return replace(record, metrics={**record.metrics, "wall_s": round(time.perf_counter() - began, 2)})

    def through(
        self, policy: Policy, on_slot: Callable[[float], None] = lambda _: None, misses: Misses | None = None
    ) -> Record:
        """Take any policy through the days, in a room of its own; ``misses`` hear of every slot."""
        return _Course(self, policy, misses).run(on_slot)

    def as_measured(self) -> Record:
        """The days as sensors saw them; gaps in what is summed up are filled by predictions of the same moment.

        Slots in which no GPU's temperature was read are not in the record, and count for energy only.
        """
        past, panel, room = self.past, self.past.panel, self.room()
        tally, moments = Counted(), []
        for t in range(past.slots):
            state = room.measured(t)
            gpu_c = np.asarray(panel.gpu_c[t], dtype=np.float64)
            read_cfm = panel.airflow_cfm[t]
            airflow_cfm = np.where(np.isfinite(read_cfm), read_cfm, state.heat.airflow_cfm)
            if np.isfinite(gpu_c).any():
                moments.append(room.moment(state, airflow_cfm, gpu_c))
            t_s = float(panel.t_s[t]) + SLOT_S
            tally.slot(room.too_hot(gpu_c), t_s, gpu_c, panel.inlet_c[t], state.server_power_w)
        return counted(stacked(MEASURED, past.topology, moments, ()), tally, OF_ROOM)

    def as_predicted(self, on_slot: Callable[[float], None] = lambda _: None) -> tuple[Record, Misses]:
        """The days as models have them, everybody staying where they were; and by model how far that is off."""
        misses = Misses(self.past.panel)
        record = replace(self, anew=False).through(Kept(self.past), on_slot, misses)
        undecided = {**record.metrics, "decision_p99_s": float("nan")}
        return replace(record, policy=PREDICTED, metrics=undecided), misses

    def room(self) -> ReplayRoom:
        """An empty room at the beginning of these days."""
        return ReplayRoom(self.past, self.models, self.profiles, Actuation())

    def _known(self) -> Known:
        endpoints = tuple(endpoint_of(name, profile) for name, profile in self.past.endpoints.items())
        return Known(self.past.topology.site, self.models, self.profiles, endpoints)


class _Course:
    """A policy on its way through the days: each slot begins with what happens then, and ends with a sample."""

    def __init__(self, backtest: Backtest, policy: Policy, misses: Misses | None) -> None:
        self._past = backtest.past
        self._coming, self._leaving = (_by_slot(backtest.past.stays, attrgetter(at)) for at in ("first", "stop"))
        self._anew = backtest.anew
        self._room = backtest.room()
        self._policy = policy
        self._misses = misses
        self._tally = Counted()
        self._moments: list[Moment] = []
        self._reviewed_s = -np.inf

    def run(self, on_slot: Callable[[float], None]) -> Record:
        """From the first slot to the last."""
        for t, now_s in enumerate(self._past.panel.t_s.tolist()):
            for name in self._room.act(now_s):
                self._policy.applied(name, now_s)
            self._leave(t, now_s)
            self._come(t, now_s)
            demand = self._past.demand_tokens_per_s(t)
            self._look(demand, now_s)
            self._step(t, demand, now_s)
            on_slot(float(SLOT_S))
        record = stacked(self._policy.name, self._past.topology, self._moments, self._tally.incidents)
        return counted(record, self._tally, DEFINED)

    def _leave(self, t: int, now_s: float) -> None:
        gone = [stay.vm.name for stay in self._leaving.get(t, ()) if stay.vm.name in self._room.running]
        if gone:
            self._policy.release(gone, now_s)
            self._room.evict(gone)

    def _come(self, t: int, now_s: float) -> None:
        news = self._coming.get(t, ())
        kept = t == 0 and not self._anew
        there = [(stay, stay.server) for stay in news if kept and stay.server is not None]
        if there:
            self._policy.adopt([(stay.vm, server) for stay, server in there], (), now_s)
        for stay, server in there:
            self._room.host(stay.vm, server, stay.profile)
        self._tally.vms_adopted += len(there)
        self._tally.vms_placed += len(there)
        self._place([stay for stay in news if not (kept and stay.server is not None)], now_s)

    def _place(self, stays: list[Stay], now_s: float) -> None:
        if not stays:
            return
        found = self._tally.decided(lambda: self._policy.place([stay.vm for stay in stays], (), now_s))
        for stay in stays:
            if stay.vm.name in found:
                self._room.host(stay.vm, found[stay.vm.name], stay.profile)
            else:
                self._tally.turned_away.append(Incident(now_s, stay.vm.name))
        self._tally.vms_placed += len(found)
        self._tally.vms_rejected += len(stays) - len(found)

    def _look(self, demand_tokens_per_s: Mapping[str, float], now_s: float) -> None:
        self._order(self._policy.observe(self._room.telemetry(now_s, demand_tokens_per_s)), now_s)
        if now_s - self._reviewed_s >= REVIEW_EVERY_S:
            self._reviewed_s = now_s
            self._order(self._tally.decided(lambda: self._policy.review(now_s)), now_s)

    def _order(self, orders: Orders, now_s: float) -> None:
        if orders:
            self._room.order(orders, now_s)
            self._tally.ordered(orders, now_s)

    def _step(self, t: int, demand_tokens_per_s: Mapping[str, float], now_s: float) -> None:
        room = self._room
        moment = room.step(t, demand_tokens_per_s, self._policy.shares(now_s))
        self._moments.append(moment)
        state, heat = room.state, room.state.heat
        self._tally.slot(room.too_hot(heat.gpu_c), moment.t_s, heat.gpu_c, heat.inlet_c, state.server_power_w)
        self._tally.vms(len(room.running), room.crew.capped)
        if self._misses is not None:
            self._misses.add(t, state.heat)


def _by_slot(stays: Sequence[Stay], slot_of: Callable[[Stay], int]) -> Mapping[int, Sequence[Stay]]:
    """Those of each slot, in the order in which they are listed."""
    of: dict[int, list[Stay]] = {}
    for stay in stays:
        of.setdefault(slot_of(stay), []).append(stay)
    return of

"""What servers and endpoints are expected to draw and to need, from learned models, profiles and telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import Margins, budget_numbers
from tapas_opt.control.fleet import Fleet, FleetVm, clock_frac
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.telemetry import FRESH_S, Latest
from tapas_opt.control.tracked import Tracked
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.failure import Effect, Failure, effect_of
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm
from tapas_opt.learn.models import LearnedModels

__all__ = ["HOURS", "Forecast"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HOURS = 168
HOUR_S = 3600.0
DAY_HOURS = 24
MOST_GROWTH = 2.0
"""Demand is not expected to more than double within the hour, whatever a template of a quiet night says."""

MEASURED_MARGIN_FRAC = 0.02
"""The least that a domain may draw in the next minutes above what its servers are measured to draw now.

How much it may rise is learned from history, and from what the service sees of its own once that is enough
(:mod:`~tapas_opt.control.rises`); it is never taken as more than the domain's margin on predictions.

It holds where every server has a fresh reading. Where readings have aged or are missing, the part of the prediction's
variance that they leave open comes back: m = m_now + (m_learned − m_now)·√(Σ_s P_s·u_s / Σ_s P_s), with u_s from
:func:`~tapas_opt.control.telemetry.aged_frac`. Independent errors of servers add up as their variances do.
"""

MOST_UNMETERED_FRAC = 0.05
"""A row's meter may show so much of its budget above its servers and what was learned to be unmetered; beyond, one of
the meters is wrong."""

MARGIN_KINDS: Mapping[Constraint, str] = {
    Constraint.RACK_POWER_BUDGET: "rack",
    Constraint.ROW_POWER_BUDGET: "row",
    Constraint.PDU_POWER_BUDGET: "pdu",
    Constraint.UPS_POWER_CAPACITY: "ups",
    Constraint.AISLE_AIRFLOW_CAPACITY: "aisle",
    Constraint.AISLE_HEAT_CAPACITY: "aisle",
}


NOBODY: frozenset[str] = frozenset()


def _domains(topology: Topology) -> Mapping[Constraint, tuple[str, ...]]:
    return {
        Constraint.RACK_POWER_BUDGET: topology.racks,
        Constraint.ROW_POWER_BUDGET: topology.rows,
        Constraint.PDU_POWER_BUDGET: topology.pdus,
        Constraint.UPS_POWER_CAPACITY: topology.upses,
        Constraint.AISLE_AIRFLOW_CAPACITY: topology.aisles,
        Constraint.AISLE_HEAT_CAPACITY: topology.aisles,
    }


@dataclass(frozen=True)
class Forecast:
    """Predictions for one moment; everything is computed once, when first asked for.

    Attributes
    ----------
    outdoor_c
        Outdoor temperature to plan for.
    failures
        What is taken to have failed.
    tracked
        What readings have shown to be missing from the models' predictions.
    by_day
        Whether hours count those of scenario days, one day after the other, and not those of the week.
    """

    fleet: Fleet
    models: LearnedModels
    profiles: Profiles
    latest: Latest
    now_s: float
    outdoor_c: float
    failures: tuple[Failure, ...]
    tracked: Tracked
    by_day: bool = False

    def shares_heat_with(self, other: Forecast, within_s: float) -> None:
        """Take temperatures and ceilings over from another forecast, made a moment ago on the same readings.

        They know of a failure only what it does to the supply air. What is not alike is worked out anew: the topology,
        the weather, that air; or a forecast of long ago, since what is not known of a bias widens with time.
        """
        alike = (
            other.fleet.topology is self.fleet.topology
            and other.outdoor_c == self.outdoor_c
            and 0.0 <= self.now_s - other.now_s <= within_s
            and np.array_equal(other.effect.supply_rise_c, self.effect.supply_rise_c)
        )
        if alike:
            known = other.__dict__
            names = ("inlet_c", "gpu_ceiling_w", "ceiling_w")
            self.__dict__.update({name: known[name] for name in names if name in known})

    def apart(self) -> Forecast:
        """The same, of a fleet and readings that nobody changes: for whoever has time, and should not hold a lock."""
        other = replace(self, fleet=self.fleet.copied(), latest=self.latest.copied())
        other.shares_heat_with(self, 0.0)
        return other

    def over_days(self) -> Forecast:
        """The same over scenario days; see :attr:`by_day`."""
        other = replace(self, by_day=True)
        other.shares_heat_with(self, 0.0)
        return other

    @property
    def hour(self) -> int:
        """Hour of the week; the week starts with the epoch of ``now_s``, as history does."""
        return int(self.now_s // HOUR_S) % HOURS

    @cached_property
    def effect(self) -> Effect:
        """Feeds and capacities under the failures."""
        return effect_of(self.fleet.topology, self.failures)

    @cached_property
    def room_load_frac(self) -> FloatArray:
        """``[room]`` the room at the power limit of its rows: the inlet temperature is taken there."""
        topology = self.fleet.topology
        room = topology.aisle_room[topology.row_aisle]
        limit = np.bincount(room, weights=topology.row_budget_w, minlength=len(topology.rooms))
        built = np.bincount(topology.server_room, weights=self.nameplate_w, minlength=len(topology.rooms))
        return np.minimum(1.0, limit / built)

    @cached_property
    def nameplate_w(self) -> FloatArray:
        """``[server]`` the most that each may draw."""
        topology = self.fleet.topology
        most = np.array([topology.site.hardware[name].max_power_w for name in topology.hardware])
        return np.asarray(most[topology.server_hardware])

    @cached_property
    def inlet_c(self) -> FloatArray:
        """``[server]`` upper inlet temperature."""
        learned = self.models.inlet_upper_c(
            self.fleet.topology, self.outdoor_c, self.room_load_frac, self.effect.supply_rise_c
        )
        return learned + self._inlet_more_c

    @cached_property
    def draw_inlet_c(self) -> FloatArray:
        """``[server]`` inlet temperature that power and airflow are predicted at: without a single server's margin.

        Budgets hold for sums of central predictions, whose margin is the domain's.
        """
        return np.asarray(self.inlet_c - self.models.inlet_margin_c(self.fleet.topology))

    def mean_inlet_c(self, hardware: str) -> float:
        """What an average server of a hardware draws at, wherever it is."""
        topology = self.fleet.topology
        on = topology.server_hardware == topology.hardware.index(hardware)
        return float(self.draw_inlet_c[on].mean()) if on.any() else 0.0

    @property
    def _inlet_more_c(self) -> FloatArray:
        """``[server]`` on top of what was learned: what was tracked of it, less what that makes known.

        The margin is wider in weather that history has not seen. Where it is so hot now, and the inlet is read, what
        the model misses is in the tracked bias: only what is hotter than now is still unknown.
        """
        measured_c = self.latest.outdoor_c(self.fleet.topology, self.now_s)
        if measured_c is None:
            return self.tracked.inlet_c
        known_c = self.models.inlet_hotter_c(min(measured_c, self.outdoor_c))
        return np.asarray(self.tracked.inlet_c - np.where(self.tracked.inlet_read, known_c, 0.0))

    @cached_property
    def ceiling_w(self) -> IntArray:
        """``[server]`` the highest GPU power that keeps every GPU below its limits."""
        return np.asarray(self.gpu_ceiling_w.min(axis=1))

    @cached_property
    def gpu_ceiling_w(self) -> IntArray:
        """``[server, gpu]`` the highest power that keeps the GPU below its limits."""
        return self.models.gpu_power_ceilings_w(
            self.fleet.topology,
            self.outdoor_c,
            self.room_load_frac,
            self.effect.supply_rise_c,
            inlet_more_c=self._inlet_more_c,
            gpu_more_c=self.tracked.gpu_c,
            gpu_memory_more_c=self.tracked.gpu_memory_c,
        )

    @cached_property
    def margins(self) -> Margins:
        """Relative margin of every domain on predictions over its week, as learned."""
        return {
            constraint: np.array([self.models.domain_margin_frac(MARGIN_KINDS[constraint], name) for name in domains])
            for constraint, domains in _domains(self.fleet.topology).items()
        }

    @cached_property
    def present_margins(self) -> Margins:
        """Relative margin on :meth:`present_draw`: small where servers are measured, as learned where they are not."""
        margins = {}
        for constraint, learned in self.margins.items():
            known = np.minimum(learned, np.maximum(self._rise_frac(constraint), MEASURED_MARGIN_FRAC))
            margins[constraint] = known + (learned - known) * self._open_fracs.get(constraint, 0.0)
        return margins

    @cached_property
    def _open_fracs(self) -> Mapping[Constraint, FloatArray]:
        """``[domain]`` how much of its prediction's deviation readings leave open; nothing where all are fresh."""
        open_w = self._open_frac("server_power_w", self.tracked.power_disbelieved)
        open_cfm = self._open_frac("airflow_cfm", self.tracked.airflow_disbelieved)
        if not open_w.any() and not open_cfm.any():
            return {}
        power, airflow = (drawn[:, :1] for drawn in self._predicted(NOBODY))
        families = budget_numbers(self.fleet.topology, self.effect, ("now",), power, airflow, {}).families
        fracs = {}
        for family in families:
            predicted, left_open = family.counted(power, airflow), family.counted(open_w, open_cfm)[:, None]
            drawn = family.drawn_permille(np.ceil(predicted).astype(np.int64))
            opened = family.drawn_permille(np.ceil(predicted * left_open).astype(np.int64))
            fracs[family.constraint] = np.sqrt(np.clip(opened / np.maximum(drawn, 1), 0.0, 1.0))[:, 0]
        return fracs

    def _rise_frac(self, constraint: Constraint) -> FloatArray:
        """``[domain]`` how much it rises within minutes: as seen by this service, or until then as in history."""
        kind, domains = MARGIN_KINDS[constraint], _domains(self.fleet.topology)[constraint]
        learned = np.array([self.models.domain_rise_frac(kind, name) for name in domains])
        seen = self.tracked.rise_frac.get(constraint)
        return learned if seen is None else np.where(np.isnan(seen), learned, seen)

    def aged(self) -> tuple[str, ...]:
        """Say how wide margins on what servers draw now have become because readings have aged, if they have.

        Where no server was ever read there is nothing that could have aged.
        """
        servers = self.fleet.topology.servers
        age_s = self.now_s - self.latest.read_at_s("server_power_w", servers)
        old = int((age_s > FRESH_S).sum())
        if not old:
            return ()
        widest = max(float(margin.max(initial=0.0)) for margin in self.present_margins.values())
        what = f"power of {old} of {len(servers)} servers was read {float(np.nanmax(age_s)):,.0f} s ago or less"
        return (f"AGED: {what}; margins on what is drawn now reach {100 * widest:.1f} %",)

    def _open_frac(self, quantity: str, stuck: BoolArray) -> FloatArray:
        """``[server]`` how much of its prediction's variance is left open by what was measured of it."""
        return np.where(stuck, 1.0, self.latest.aged_frac(quantity, self.fleet.topology.servers, self.now_s))

    def hours_of_day(self) -> tuple[IntArray, tuple[str, ...]]:
        """``[slot, day]`` hours of the week of each of the next 24 hours of day, and the slots' names."""
        hours = (self.hour + np.arange(DAY_HOURS)[:, None] + DAY_HOURS * np.arange(7)) % HOURS
        return hours, tuple(f"h{int(hour) % DAY_HOURS:02d}" for hour in hours[:, 0])

    def hours_of_week(self) -> tuple[IntArray, tuple[str, ...]]:
        """``[slot, 1]`` each of the next 168 hours, and the slots' names, by day and hour of the week."""
        hours = (self.hour + np.arange(HOURS)[:, None]) % HOURS
        names = tuple(f"d{int(hour) // DAY_HOURS}h{int(hour) % DAY_HOURS:02d}" for hour in hours[:, 0])
        return hours, names

    def hours_of_days(self, newest: int) -> IntArray:
        """``[slot, 1]`` on the newest of the scenario days, one after the other, the hours of :meth:`hours_of_day`."""
        known = self.models.load_scenarios("").shape[0]
        of_day = (self.hour + np.arange(DAY_HOURS)) % DAY_HOURS
        return np.asarray((DAY_HOURS * np.arange(known - newest, known)[:, None] + of_day).reshape(-1, 1))

    def next_hour(self) -> IntArray:
        """``[slot, hour]`` one slot that covers this hour and the next."""
        return np.array([[self.hour, (self.hour + 1) % HOURS]])

    # Load and power of VMs.

    def gpu_power_w(self, placed: FleetVm, hardware: str, hours: IntArray) -> FloatArray:
        """``[slot]`` central mean GPU power of a VM, the highest of each slot's hours."""
        vm, models = placed.vm, self.models
        loads = models.load_scenarios if self.by_day else models.load_central_frac
        load = loads(vm.template, vm.name).ravel()[hours].max(axis=1)
        return self._gpu_power_at(placed, hardware, load)

    def peak_gpu_power_w(self, vm: Vm, hardware: str) -> float:
        """Predicted peak power of a VM's hottest GPU: a SaaS instance may be filled by routing at any time."""
        profile = self.starting_profile(vm, hardware)
        if profile is not None:
            return profile.hottest_gpu_power_w[-1]
        upper_w = float(self.models.gpu_power_w(hardware, self.models.load_upper_frac(vm.template, vm.name).max()))
        return min(upper_w, self.fleet.topology.site.hardware[hardware].gpu_max_power_w)

    def starting_profile(self, vm: Vm, hardware: str) -> Profile | None:
        """Profile of the configuration that a SaaS VM starts with; None for IaaS and where it cannot run."""
        name = vm.configuration or (self.fleet.endpoints[vm.endpoint].configuration if vm.endpoint else None)
        return None if name is None else self.profiles.get(name, hardware)

    def running(self, placed: FleetVm, hardware: str) -> tuple[Profile | None, float]:
        """Profile and load level of what a VM shall run; no profile for IaaS and for a parked instance."""
        return self._of_choice(placed.choice, placed.vm, hardware)

    def serving(self, placed: FleetVm, hardware: str) -> tuple[Profile | None, float]:
        """Profile and load level of what its agent last said it runs."""
        return self._of_choice(placed.serving, placed.vm, hardware)

    def _of_choice(self, choice: str | None, vm: Vm, hardware: str) -> tuple[Profile | None, float]:
        if choice is None:
            return self.starting_profile(vm, hardware), 1.0
        name, _, level = choice.partition("@")
        return self.profiles.get(name, hardware), float(level or 0.0)

    def _gpu_power_at(self, placed: FleetVm, hardware: str, load: FloatArray) -> FloatArray:
        if placed.vm.endpoint is None:
            idle_w = self.idle_gpu_power_w(hardware)
            return idle_w + clock_frac(placed.serving) * (self.models.gpu_power_w(hardware, load) - idle_w)
        profile, level = self.running(placed, hardware)
        if profile is None:
            return np.full(len(load), self.idle_gpu_power_w(hardware))
        return np.interp(np.minimum(load, level), LOAD_LEVELS, profile.gpu_power_w)

    def server_draw(self, hours: IntArray, idle: frozenset[str] = NOBODY) -> tuple[FloatArray, FloatArray]:
        """``[server, slot]`` central power and airflow, each row's unmetered load spread over its servers.

        VMs named in ``idle`` are left out: their servers count as idle.
        """
        loads, kind = self._loads(idle) if idle else self._present_loads
        rows = [self._mean_gpu_power_w(hardware, vms, hours) for hardware, vms in loads]
        gpu_power = np.array(rows).reshape(len(rows), len(hours))
        return self._server_power_w(gpu_power, kind) + self._overhead_w, self._airflow_cfm(gpu_power, kind)

    def _mean_gpu_power_w(self, hardware: str, vms: tuple[FleetVm, ...], hours: IntArray) -> FloatArray:
        """``[slot]`` over all GPUs of a server with these VMs; those that nobody has are idle."""
        idle_w = self.idle_gpu_power_w(hardware)
        mean = np.full(len(hours), idle_w)
        for placed in vms:
            mean += self.gpus_frac(placed.vm, hardware) * (self.gpu_power_w(placed, hardware, hours) - idle_w)
        return mean

    def gpus_frac(self, vm: Vm, hardware: str) -> float:
        """Which part of a server's GPUs a VM has."""
        return 1.0 if vm.gpus is None else vm.gpus / self.fleet.topology.site.hardware[hardware].gpus

    @cached_property
    def _present_loads(self) -> tuple[list[tuple[str, tuple[FleetVm, ...]]], IntArray]:
        return self._loads(NOBODY)

    def _loads(self, idle: frozenset[str]) -> tuple[list[tuple[str, tuple[FleetVm, ...]]], IntArray]:
        """Each kind of load, as a hardware and VMs that stand for it, and ``[server]`` which kind each carries."""
        topology = self.fleet.topology
        hardware_of = [topology.hardware[h] for h in topology.server_hardware]
        loads: dict[tuple[object, ...], tuple[int, tuple[str, tuple[FleetVm, ...]]]] = {}
        kind = np.empty(len(topology.servers), dtype=np.int64)
        for s, vms in enumerate(self.fleet.occupants()):
            on = tuple(placed for placed in vms if placed.vm.name not in idle)
            key = (hardware_of[s], *(self._load_key(placed) for placed in on))
            kind[s] = loads.setdefault(key, (len(loads), (hardware_of[s], on)))[0]
        return [load for _, load in loads.values()], kind

    def _load_key(self, placed: FleetVm) -> tuple[object, ...]:
        """VMs of which this is the same are predicted to load servers of one hardware alike."""
        vm = placed.vm
        own = vm.name if self.models.has_own_load(vm.template, vm.name) else None
        runs = placed.serving if vm.endpoint is None else placed.choice
        return vm.kind, vm.template, own, runs or vm.configuration, vm.gpus

    def _server_power_w(self, gpu_power_w: FloatArray, kind: IntArray) -> FloatArray:
        power = np.empty((len(kind), gpu_power_w.shape[1]))
        for hardware, on in self.servers_by_hardware():
            power[on] = self.models.servers_power_w(hardware, gpu_power_w, kind[on], self.draw_inlet_c[on])
        return np.asarray(np.maximum(0.0, power + self.tracked.server_power_w[:, None]))

    def _airflow_cfm(self, gpu_power_w: FloatArray, kind: IntArray) -> FloatArray:
        airflow = np.empty((len(kind), gpu_power_w.shape[1]))
        for hardware, on in self.servers_by_hardware():
            airflow[on] = self.models.servers_airflow_cfm(hardware, gpu_power_w, kind[on], self.draw_inlet_c[on])
        return np.asarray(np.maximum(0.0, airflow + self.tracked.airflow_cfm[:, None]))

    def servers_by_hardware(self) -> list[tuple[str, IntArray]]:
        """Each hardware with the numbers of its servers."""
        topology = self.fleet.topology
        return [(name, np.flatnonzero(topology.server_hardware == h)) for h, name in enumerate(topology.hardware)]

    @cached_property
    def _overhead_w(self) -> FloatArray:
        """``[server, 1]`` each server's part of what its row's meter shows above the sum of its servers."""
        topology = self.fleet.topology
        overhead = np.array([self.models.row_overhead_w(name) for name in topology.rows])
        servers = np.bincount(topology.server_row, minlength=len(topology.rows))
        return np.asarray((overhead / servers)[topology.server_row][:, None])

    @cached_property
    def _present_overhead_w(self) -> FloatArray:
        """``[server, 1]`` as :attr:`_overhead_w`; more where the row's meter shows more now, up to a bound."""
        topology = self.fleet.topology
        learned = np.array([self.models.row_overhead_w(name) for name in topology.rows])
        watts = self.latest.values("server_power_w", topology.servers, self.now_s, within_s=FRESH_S)
        servers = np.bincount(topology.server_row, minlength=len(topology.rows))
        summed = np.bincount(topology.server_row, weights=watts, minlength=len(topology.rows))
        shown = self.latest.values("row_power_w", topology.rows, self.now_s, within_s=FRESH_S) - summed
        most = learned + MOST_UNMETERED_FRAC * topology.row_budget_w
        overhead = np.where(np.isnan(shown), learned, np.clip(shown, learned, most))
        return np.asarray((overhead / servers)[topology.server_row][:, None])

    def further_draw_of_part(
        self, hardware: str, gpu_power_w: FloatArray, inlet_c: float, gpus_frac: float
    ) -> tuple[IntArray, IntArray]:
        """Watts and CFM that a server draws more if a part of its GPUs draws ``gpu_power_w``, whatever the others do.

        The mean rises by ``gpus_frac`` of what these rise by; the server at most as steeply as anywhere between idle
        and the highest power of its GPUs. Several parts, added up, are never short of the learned curve.
        """
        idle_w, most_w = self.idle_gpu_power_w(hardware), self.fleet.topology.site.hardware[hardware].gpu_max_power_w
        learned = (self.models.server_power, self.models.airflow)
        knots = [knot for model in learned for knot in model.entries[hardware].gpu_power_w if idle_w < knot < most_w]
        points = np.unique([idle_w, *knots, most_w])
        rise = np.maximum(0.0, gpu_power_w - idle_w) * gpus_frac
        power = self.models.server_power_w(hardware, points, inlet_c)
        airflow = self.models.airflow_cfm(hardware, points, inlet_c)
        watts, cfm = (
            np.ceil(rise * max(0.0, float((np.diff(values) / np.diff(points)).max()))) for values in (power, airflow)
        )
        return watts.astype(np.int64), cfm.astype(np.int64)

    def further_draw(self, hardware: str, gpu_power_w: FloatArray, inlet_c: float) -> tuple[IntArray, IntArray]:
        """Watts and CFM beyond idle of a server whose GPUs draw ``gpu_power_w`` on average, rounded up."""
        points = np.concatenate([[self.idle_gpu_power_w(hardware)], gpu_power_w])
        power = self.models.server_power_w(hardware, points, inlet_c)
        airflow = self.models.airflow_cfm(hardware, points, inlet_c)
        watts, cfm = (np.ceil(np.maximum(0.0, values[1:] - values[0])) for values in (power, airflow))
        return watts.astype(np.int64), cfm.astype(np.int64)

    def idle_gpu_power_w(self, hardware: str) -> float:
        """Power of a GPU without a VM."""
        return float(self.models.gpu_power.entries[hardware].idle_power_w)

    def _predicted(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 2]`` :meth:`server_draw` in this hour, and in the higher of this and the next."""
        if idle not in self._predictions:
            hours = np.array([[self.hour, self.hour], *self.next_hour()])
            self._predictions[idle] = self.server_draw(hours, idle)
        return self._predictions[idle]

    @cached_property
    def _predictions(self) -> dict[frozenset[str], tuple[FloatArray, FloatArray]]:
        return {}

    def present_draw(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` what servers draw now: as measured where that is fresh, else as predicted for this hour.

        Servers of the VMs named in ``idle`` count as idle, measured or not.
        """
        power, airflow = (drawn[:, :1] for drawn in self._predicted(idle))
        watts, cfm = self._measured
        held = np.zeros(len(watts), dtype=bool)
        held[[self.fleet.server_number(self.fleet.vms[name].server) for name in idle]] = True
        no_watts = held | self.tracked.power_disbelieved
        no_cfm = held | self.tracked.airflow_disbelieved
        return (
            np.where(np.isnan(watts) | no_watts[:, None], power, watts),
            np.where(np.isnan(cfm) | no_cfm[:, None], airflow, cfm),
        )

    @cached_property
    def _measured(self) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` power, its part of the row's unmetered load included, and airflow; NaN where not read."""
        servers = self.fleet.topology.servers
        watts = self.latest.values("server_power_w", servers, self.now_s)[:, None] + self._present_overhead_w
        return watts, self.latest.values("airflow_cfm", servers, self.now_s)[:, None]

    @cached_property
    def drawn_now(self) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` what servers draw now with all their VMs."""
        return self.present_draw(NOBODY)

    def coming_draw(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` :meth:`present_draw`, and what is predicted of this hour and the next beyond this one.

        The higher of what is measured and what is predicted, server by server, adds up to more than either does: in a
        room of 80 servers to 5 to 7 % more.
        """
        more = (np.maximum(0.0, drawn[:, 1:] - drawn[:, :1]) for drawn in self._predicted(idle))
        power, airflow = (present + rise for present, rise in zip(self.present_draw(idle), more, strict=True))
        return power, airflow

    # Demand of endpoints.

    def demand_tokens_per_s(self, endpoint: str) -> float:
        """Prompt and output tokens per second now: as measured, or by template where nothing is."""
        measured = self.latest.get("endpoint_tokens_per_s", endpoint, self.now_s)
        if measured is not None:
            return measured
        load = self.models.load_central_frac(endpoint)[self.next_hour()].max()
        return float(load) * self._starting_goodput_of(endpoint)

    def coming_demand_tokens_per_s(self, endpoint: str) -> tuple[float, float]:
        """Tokens per second that the endpoint will be asked for within this hour and the next, and may be asked for.

        What is asked now grows as its template does from its centre now to its centre, and to its upper bound, then.
        """
        central = self.models.load_central_frac(endpoint)
        now, then = float(central[self.hour]), float(central[self.next_hour()].max())
        upper = float(self.models.load_upper_frac(endpoint)[self.next_hour()].max())
        asked = self.demand_tokens_per_s(endpoint)
        will, may = (asked * min(max(1.0, frac / now) if now > 0 else 1.0, MOST_GROWTH) for frac in (then, upper))
        return will, may

    def _starting_goodput_of(self, endpoint: str) -> float:
        return sum(self._starting_goodput(placed) for placed in self.fleet.saas() if placed.vm.endpoint == endpoint)

    def _starting_goodput(self, placed: FleetVm) -> float:
        topology = self.fleet.topology
        hardware = topology.hardware[topology.server_hardware[self.fleet.server_number(placed.server)]]
        profile = self.starting_profile(placed.vm, hardware)
        return 0.0 if profile is None else profile.goodput_tokens_per_s

"""What placement has to survive: failures of the site's elements, stated from a forecast for a batch of VMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.failures import FailurePairs, Scenario, SiteFailures, single_failures, site_failures
from tapas_opt.budgets.numbers import BudgetFamily, Margins
from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.control.fleet import FleetVm, VmState
from tapas_opt.control.forecast import HOURS, Forecast, choice_name
from tapas_opt.control.reconfiguring import AISLE_TOLERANCE_S
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site import ToleranceCurve
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.placement.survival.numbers import Draws, Relief, secured, side_by_side, survival, transient
from tapas_opt.placement.survival.problem import Secured as SecuredPairs
from tapas_opt.placement.survival.problem import Survival

__all__ = ["Batch", "Secured", "Securing", "TIERS", "by_units"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HOUR_S = 3600.0

TIERS = ("slowed", "evicted", "drained", "capped")
"""Knobs of relief, cheapest first: a SaaS instance at a lower clock, a spot VM gone, a SaaS instance whose requests go
elsewhere, a VM slowed that agreed to it."""

PRICE_PER_W = np.array([1, 2, 3, 4])
"""Cost units for each watt relieved, by tier."""

SHORTFALL_PER_W = 1_000
"""Cost units for each watt that nothing relieves: more than a VM is worth that causes a few hundred of them."""

CAPPED_FRAC = 0.6
"""Part of a GPU's highest power that a tenant's VM which agreed to it is held to: a planning value."""

W_PER_CFM = 8
"""A CFM is priced as so many watts: what a server warms a CFM of air by at 15 °C (1.2 kg/m³, 1005 J/(kg·K))."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be placed, as the placement problem states it.

    Attributes
    ----------
    examples
        ``[type]`` a VM that stands for its type.
    vm_type, available
        ``[vm]`` and ``[server]``.
    power_w, airflow_cfm
        ``[type, hardware, slot]`` what a VM draws beyond idle.
    """

    examples: Sequence[Vm]
    vm_type: IntArray
    available: BoolArray
    power_w: IntArray
    airflow_cfm: IntArray


@dataclass(frozen=True, slots=True)
class Secured:
    """What to add to a placement problem."""

    budgets: tuple[BudgetFamily, ...]
    survival: Survival


class Securing:
    """States survival; what follows from the site alone is kept while the site stays the same.

    Parameters
    ----------
    together
        Labels of elements that may be lost together, beside every single UPS, PDU and air handler.
    """

    def __init__(self, actuation: Actuation, together: Sequence[tuple[str, ...]] = ()) -> None:
        self._actuation, self._together = actuation, tuple(together)
        self._made_for: Topology | None = None
        self._known: dict[tuple[tuple[str, float], ...], SiteFailures] = {}

    def failures(self, topology: Topology, standing: Scenario = ()) -> SiteFailures:
        """All pairs of a site, while something stands failed in a room: those of that room."""
        if self._made_for is not topology:
            self._made_for, self._known = topology, {}
        key = tuple((failure.label, failure.remaining_frac) for failure in standing)
        if key not in self._known:
            scenarios = (*single_failures(topology), *map(_scenario, self._together))
            self._known[key] = site_failures(topology, scenarios, standing)
        return self._known[key]

    def secured(
        self, forecast: Forecast, batch: Batch, hours: IntArray, base_w: IntArray, base_cfm: IntArray
    ) -> Secured:
        """``ups_transient_limit`` as a family of budgets, and what ``failure_secure`` needs.

        In slots in which an outage is planned, the site without the element has to hold without any relief, and to
        survive every further failure in the room.

        Parameters
        ----------
        hours
            ``[slot, hour]`` hours of the week of each slot.
        base_w, base_cfm
            ``[unit, slot]`` what is drawn without the batch, by units of servers (:func:`by_units`).
        """
        topology = forecast.fleet.topology
        failures = self.failures(topology)
        state = _Statement(forecast, self._actuation, failures, batch, hours, base_w, base_cfm)
        early, parts = state.transient(failures), state.secured(failures)
        for outage in forecast.fleet.outages_after(forecast.now_s):
            only = _slots(outage, hours)
            alone, further = site_failures(topology, [(outage,)]), self.failures(topology, (outage,))
            early = side_by_side(early, state.transient(further, only))
            parts += state.secured(alone, only, relieved=False) + state.secured(further, only)
        return Secured((early,) if early.domains else (), survival(failures.rooms, parts, failures.no_worse))


class _Statement:
    """What all failures of one placement have in common: draws, relief and margins."""

    def __init__(
        self,
        forecast: Forecast,
        actuation: Actuation,
        failures: SiteFailures,
        batch: Batch,
        hours: IntArray,
        base_w: IntArray,
        base_cfm: IntArray,
    ) -> None:
        topology = forecast.fleet.topology
        knobs = _Knobs(forecast, actuation, hours)
        running, of_type = knobs.running(failures), knobs.of_types(batch.examples)
        self._topology, self._margins, self._reaction_s = topology, forecast.margins, actuation.reaction_s
        self._draws = tuple(
            _Summed(failures, batch, topology, unit).draws(base) for unit, base in (("W", base_w), ("CFM", base_cfm))
        )
        self._relief = tuple(
            Relief(TIERS, per_w * PRICE_PER_W, per_w * SHORTFALL_PER_W, running[i], of_type[i])
            for i, per_w in enumerate((1, W_PER_CFM))
        )

    def transient(self, failures: SiteFailures, only: BoolArray | None = None) -> BudgetFamily:
        """What must not be overloaded further than is borne until relief acts."""
        pairs = failures.transient
        limits = _limits(pairs, self._margins, _borne_frac(self._topology, pairs, self._reaction_s))
        return transient(pairs, failures.unit_of, limits, self._draws[0], only)

    def secured(
        self, failures: SiteFailures, only: BoolArray | None = None, *, relieved: bool = True
    ) -> list[tuple[SecuredPairs, IntArray]]:
        """What must be carried for as long as a failure lasts, with relief or without."""
        found = []
        for pairs, draws, relief in zip((failures.power, failures.air), self._draws, self._relief, strict=True):
            given = relief if relieved else replace(relief, running=0 * relief.running, of_type=0 * relief.of_type)
            found.append(secured(pairs, failures.unit_of, _limits(pairs, self._margins), draws, given, only=only))
        return found


def _slots(outage: Failure, hours: IntArray) -> BoolArray:
    """``[slot]`` which cover an hour of the week in which an outage is planned."""
    begin, end = outage.started_at_s, outage.started_at_s + outage.expected_duration_s
    out = np.arange(int(begin // HOUR_S), int(np.ceil(end / HOUR_S))) % HOURS
    return np.asarray(np.isin(hours, out).any(axis=1))


def _scenario(labels: Sequence[str]) -> Scenario:
    """Failures from labels such as ``ups:U1``."""
    split = (label.partition(":") for label in labels)
    return tuple(Failure(FailureKind(kind), element) for kind, _, element in split)


def _limits(pairs: FailurePairs, margins: Margins, borne_frac: FloatArray | float = 1.0) -> IntArray:
    """``[pair]`` ⌊capacity · borne / (1 + margin)⌋ with the margin of the domain."""
    frac = [
        margins[family][element] if family in margins else 0.0
        for family, element in zip(pairs.family, pairs.element.tolist(), strict=True)
    ]
    return np.floor(pairs.capacity * borne_frac / (1.0 + np.array(frac))).astype(np.int64)


def _borne_frac(topology: Topology, pairs: FailurePairs, seconds: float) -> FloatArray:
    """``[pair]`` the overload that each domain bears for some seconds; a UPS on battery."""
    site = topology.site
    curves: dict[Constraint, list[ToleranceCurve]] = {
        Constraint.UPS_POWER_CAPACITY: [ups.on_battery for room in site.rooms for ups in room.upses],
        Constraint.PDU_POWER_BUDGET: [pdu.breaker for room in site.rooms for pdu in room.pdus],
        Constraint.ROW_POWER_BUDGET: [row.breaker for row in site.rows()],
    }
    known: dict[ToleranceCurve, float] = {}
    borne = []
    for family, element in zip(pairs.family, pairs.element.tolist(), strict=True):
        curve = curves[family][element]
        if curve not in known:
            known[curve] = curve.borne_frac(seconds)
        borne.append(known[curve])
    return np.array(borne)


@dataclass(frozen=True, slots=True)
class _Summed:
    """Draws by unit of servers."""

    failures: SiteFailures
    batch: Batch
    topology: Topology
    unit: str

    def draws(self, base: IntArray) -> Draws:
        draw = self.batch.power_w if self.unit == "W" else self.batch.airflow_cfm
        asked = np.unique(self.batch.vm_type)
        most = (draw * self._beside_each_other()[..., None])[asked].max(axis=0, initial=0)
        free = np.zeros((self.failures.units, len(self.topology.hardware)), dtype=np.int64)
        on = self.batch.available
        np.add.at(free, (self.failures.unit_of[on], self.topology.server_hardware[on]), 1)
        count = np.bincount(self.batch.vm_type, minlength=len(draw))
        return Draws(self.unit, base, free @ most, draw, count)

    def _beside_each_other(self) -> IntArray:
        """``[type, hardware]`` how many VMs of a type a server takes."""
        gpus = [self.topology.site.hardware[name].gpus for name in self.topology.hardware]
        taken = [[has // (vm.gpus or has) for has in gpus] for vm in self.batch.examples]
        return np.array(taken, dtype=np.int64).reshape(len(taken), len(gpus))


def by_units(values: IntArray, failures: SiteFailures) -> IntArray:
    """``[unit, …]`` sums of ``[server, …]``."""
    total = np.zeros((failures.units, *values.shape[1:]), dtype=np.int64)
    order = np.argsort(failures.unit_of, kind="stable")
    units, begin = np.unique(failures.unit_of[order], return_index=True)
    total[units] = np.add.reduceat(values[order], begin, axis=0)
    return total


class _Knobs:
    """What VMs can give in time, slot by slot: what they would draw above the power that a knob caps them to."""

    def __init__(self, forecast: Forecast, actuation: Actuation, hours: IntArray) -> None:
        self._forecast, self._actuation, self._hours = forecast, actuation, hours
        topology = forecast.fleet.topology
        self._warmest_c = [
            float(forecast.inlet_c[topology.server_hardware == h].max(initial=0.0))
            for h in range(len(topology.hardware))
        ]
        self._caps: dict[tuple[str, str], float] = {}

    def of_types(self, examples: Sequence[Vm]) -> tuple[IntArray, IntArray]:
        """``[type, hardware, tier, slot]`` W and CFM."""
        topology = self._forecast.fleet.topology
        shape = (len(examples), len(topology.hardware), len(TIERS), len(self._hours))
        power, airflow = (np.zeros(shape, dtype=np.int64) for _ in range(2))
        for w, vm in enumerate(examples):
            for h, hardware in enumerate(topology.hardware):
                if vm.endpoint is None or self._forecast.starting_profile(vm, hardware) is not None:
                    power[w, h], airflow[w, h] = self._relief(FleetVm(vm, "", VmState.RESERVED), h)
        return power, airflow

    def running(self, failures: SiteFailures) -> tuple[IntArray, IntArray]:
        """``[unit, tier, slot]`` W and CFM; a unit less each than the models say, for what is rounded up elsewhere."""
        topology, fleet = self._forecast.fleet.topology, self._forecast.fleet
        hardware_of, unit_of = topology.server_hardware.tolist(), failures.unit_of.tolist()
        kinds: dict[tuple[object, ...], int] = {}
        relief: list[tuple[IntArray, IntArray]] = []
        where: list[tuple[int, int]] = []
        for placed in fleet.vms.values():
            vm, server = placed.vm, fleet.server_number(placed.server)
            if not (vm.may_be_slowed or vm.spot):
                continue
            own = vm.name if self._forecast.models.has_own_load(vm.template, vm.name) else None
            choice = placed.choice or vm.configuration
            key = (vm.kind, vm.template, own, choice, vm.spot, vm.capping_agreed, vm.gpus, hardware_of[server])
            if key not in kinds:
                kinds[key] = len(kinds)
                relief.append(self._relief(placed, hardware_of[server]))
            where.append((unit_of[server], kinds[key]))
        shape = (failures.units, len(TIERS), len(self._hours))
        if not where:
            return np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        counts = np.zeros((failures.units, len(kinds)), dtype=np.int64)
        np.add.at(counts, tuple(np.array(where).T), 1)
        power, airflow = (np.maximum(0, np.stack([each[i] for each in relief]) - 1) for i in range(2))
        return np.tensordot(counts, power, axes=1), np.tensordot(counts, airflow, axes=1)

    def _relief(self, placed: FleetVm, hardware: int) -> tuple[IntArray, IntArray]:
        """``[tier, slot]`` W and CFM: each knob takes what the ones before it have left above its cap.

        Breakers and batteries bear an overload for seconds, an aisle bears short air for longer: what is too late for
        power may be in time for air.
        """
        power, _ = self._steps(placed, hardware, self._actuation.reaction_s)
        _, airflow = self._steps(placed, hardware, AISLE_TOLERANCE_S)
        return np.maximum(0, power[:-1] - power[1:]), np.maximum(0, airflow[:-1] - airflow[1:])

    def _steps(self, placed: FleetVm, hardware: int, within_s: float) -> tuple[IntArray, IntArray]:
        """``[tiers + 1, slot]`` W and CFM beyond idle, before any relief and after each knob that acts in time."""
        name = self._forecast.fleet.topology.hardware[hardware]
        levels = [self._forecast.gpu_power_w(placed, name, self._hours)]
        for tier in TIERS:
            levels.append(np.minimum(levels[-1], self._cap_w(placed, name, tier, within_s)))
        idle_w, part = self._forecast.idle_gpu_power_w(name), self._forecast.gpus_frac(placed.vm, name)
        mean_w = idle_w + part * (np.concatenate(levels) - idle_w)  # over all GPUs of the server
        power, airflow = self._forecast.further_draw(name, mean_w, self._warmest_c[hardware])
        return power.reshape(len(levels), -1), airflow.reshape(len(levels), -1)

    def _cap_w(self, placed: FleetVm, hardware: str, tier: str, within_s: float) -> float:
        """Mean GPU power that a knob holds a VM to in time; infinite where it may not or cannot be used."""
        vm, actuation, site = placed.vm, self._actuation, self._forecast.fleet.topology.site
        profile, level = self._forecast.running(placed, hardware)
        serves = vm.kind is VmKind.SAAS and profile is not None
        knob_s, may, cap_w = {
            "slowed": (0.0, serves, np.inf if profile is None else self._slowed_w(profile, level, hardware)),
            "evicted": (actuation.evict_s, vm.spot, self._forecast.idle_gpu_power_w(hardware)),
            "drained": (actuation.drain_s, serves, self._forecast.idle_gpu_power_w(hardware)),
            "capped": (
                actuation.out_of_band_s,
                vm.kind is VmKind.IAAS and vm.capping_agreed,
                CAPPED_FRAC * site.hardware[hardware].gpu_max_power_w,
            ),
        }[tier]
        return cap_w if may and actuation.is_in_time(knob_s, within_s) else np.inf

    def _slowed_w(self, profile: Profile, level: float, hardware: str) -> float:
        """Least power at full load of a configuration that differs by no more than its clock."""
        key = (choice_name(profile.configuration.name, level), hardware)
        if key not in self._caps:
            now = Option(key[0], profile, level)
            in_time = [
                other.gpu_power_w[-1]
                for other in self._forecast.profiles.all
                if other.hardware == hardware and self._is_in_time(now, other)
            ]
            self._caps[key] = min(in_time, default=np.inf)
        return self._caps[key]

    def _is_in_time(self, now: Option, other: Profile) -> bool:
        then = Option(choice_name(other.configuration.name, LOAD_LEVELS[-1]), other, LOAD_LEVELS[-1])
        return self._actuation.delay_s(now, then) <= self._actuation.reaction_s

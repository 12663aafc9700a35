"""What VMs can give when something fails: which knobs turn how soon, and what each takes off what a VM draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.failures import SiteFailures
from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.control.fleet import FleetVm, VmState
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.profiles import choice_name
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.workload import Vm, VmKind

__all__ = ["TIERS", "Knobs"]

IntArray = NDArray[np.int64]

TIERS = ("slowed", "evicted", "drained", "capped")
"""Knobs of relief, cheapest first: a SaaS instance at a lower clock, a spot VM gone, a SaaS instance whose requests go
elsewhere, a VM slowed that agreed to it."""

CAPPED_FRAC = 0.6
"""Part of a GPU's highest power that a tenant's VM which agreed to it is held to: a planning value."""


class Knobs:
    """What VMs can give within some times, slot by slot: what they would draw above the power that a knob caps them to.

    Parameters
    ----------
    hours
        ``[slot, hour]`` hours of the week of each slot.
    within_s
        ``[time]`` seconds after a failure; a knob counts where it has acted by then.
    """

    def __init__(self, forecast: Forecast, actuation: Actuation, hours: IntArray, within_s: Sequence[float]) -> None:
        self._forecast, self._actuation, self._hours, self._within_s = forecast, actuation, hours, tuple(within_s)
        topology = forecast.fleet.topology
        self._inlet_c = [forecast.mean_inlet_c(name) for name in topology.hardware]
        self._caps: dict[tuple[str, str], float] = {}

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        """W and CFM, time, tier, slot."""
        return 2, len(self._within_s), len(TIERS), len(self._hours)

    def of_types(self, examples: Sequence[Vm]) -> IntArray:
        """``[W and CFM, time, type, hardware, tier, slot]`` what a VM gives."""
        topology = self._forecast.fleet.topology
        relief = np.zeros((len(examples), len(topology.hardware), *self._shape), dtype=np.int64)
        for w, vm in enumerate(examples):
            for h, hardware in enumerate(topology.hardware):
                if vm.endpoint is None or self._forecast.starting_profile(vm, hardware) is not None:
                    relief[w, h] = self._relief(FleetVm(vm, "", VmState.RESERVED), h)
        return np.moveaxis(relief, (2, 3), (0, 1))

    def running(self, failures: SiteFailures) -> IntArray:
        """``[W and CFM, time, unit, tier, slot]`` what runs gives.

        A unit less for each VM than the models say, for what is rounded up elsewhere.
        """
        topology, fleet = self._forecast.fleet.topology, self._forecast.fleet
        hardware_of, unit_of = topology.server_hardware.tolist(), failures.unit_of.tolist()
        kinds: dict[tuple[object, ...], int] = {}
        relief: list[IntArray] = []
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
        if not where:
            return np.moveaxis(np.zeros((failures.units, *self._shape), dtype=np.int64), 0, 2)
        counts = np.zeros((failures.units, len(kinds)), dtype=np.int64)
        np.add.at(counts, tuple(np.array(where).T), 1)
        given = np.maximum(0, np.stack(relief) - 1)
        return np.asarray(np.moveaxis(np.tensordot(counts, given, axes=1), 0, 2))

    def _relief(self, placed: FleetVm, hardware: int) -> IntArray:
        """``[W and CFM, time, tier, slot]``: each knob takes what the ones before it have left above its cap."""
        left = np.stack([self._steps(placed, hardware, within_s) for within_s in self._within_s], axis=1)
        return np.asarray(np.maximum(0, left[:, :, :-1] - left[:, :, 1:]))

    def _steps(self, placed: FleetVm, hardware: int, within_s: float) -> IntArray:
        """``[W and CFM, tiers + 1, slot]`` beyond idle, before any relief and after each knob that acts in time."""
        name = self._forecast.fleet.topology.hardware[hardware]
        levels = [self._forecast.gpu_power_w(placed, name, self._hours)]
        for tier in TIERS:
            levels.append(np.minimum(levels[-1], self._cap_w(placed, name, tier, within_s)))
        idle_w, part = self._forecast.idle_gpu_power_w(name), self._forecast.gpus_frac(placed.vm, name)
        mean_w = idle_w + part * (np.concatenate(levels) - idle_w)  # over all GPUs of the server
        draws = self._forecast.further_draw(name, mean_w, self._inlet_c[hardware])
        return np.stack([draw.reshape(len(levels), -1) for draw in draws])

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

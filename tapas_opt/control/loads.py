"""What single VMs carry and draw: by template or load of their own, and by what they run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.conditions import Conditions
from tapas_opt.control.fleet import FleetVm, clock_frac
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.workload import Vm

__all__ = ["Loads"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Loads(Conditions):
    """Loads and power of VMs in a forecast."""

    def gpu_power_w(self, placed: FleetVm, hardware: str, hours: IntArray) -> FloatArray:
        """``[slot]`` central mean GPU power of a VM, the highest of each slot's hours."""
        vm, models = placed.vm, self.models
        loads = models.load_scenarios if self.by_day else models.load_central_frac
        load = loads(vm.template, vm.name).ravel()[hours].max(axis=1)
        return self._gpu_power_at(placed, hardware, load)

    def peak_gpu_power_w(self, vm: Vm, hardware: str) -> float:
        """Predicted peak power of a VM's hottest GPU: a SaaS instance may be filled by routing at any time."""
        most_w = self.most_gpu_power_w(vm, hardware)
        if self.starting_profile(vm, hardware) is not None:
            return most_w
        upper_w = float(self.models.gpu_power_w(hardware, self.models.load_upper_frac(vm.template, vm.name).max()))
        return min(upper_w, most_w)

    def most_gpu_power_w(self, vm: Vm, hardware: str) -> float:
        """The most that a VM's hottest GPU may draw: of an opaque one all it can, in some minute of its weeks."""
        profile = self.starting_profile(vm, hardware)
        if profile is not None:
            return profile.hottest_gpu_power_w[-1]
        return self.fleet.topology.site.hardware[hardware].gpu_max_power_w

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

    def idle_gpu_power_w(self, hardware: str) -> float:
        """Power of a GPU without a VM."""
        return float(self.models.gpu_power.entries[hardware].idle_power_w)

    def gpus_frac(self, vm: Vm, hardware: str) -> float:
        """Which part of a server's GPUs a VM has."""
        return 1.0 if vm.gpus is None else vm.gpus / self.fleet.topology.site.hardware[hardware].gpus

"""The plant with work on it: which VM is where, what it runs, and actuators that take their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.configuration import Configuration, Profile
from tapas_opt.domain.site import Hardware
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.plant.instances import Instance
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.truth import Truth
from tapas_opt.plant.workload import Workload, iaas_gpu_power_w
from tapas_opt.simulation.policy import Orders, Shares
from tapas_opt.simulation.record import Moment

__all__ = ["MachineRoom"]

FloatArray = NDArray[np.float64]

THROTTLED_SPEED = 0.5
"""Hardware slowdown halves the clocks (facts: cut by two or more)."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a VM runs: for SaaS an option (configuration at a level, or parked), for both a clock cap."""

    vm: Vm
    server: int
    option: Option
    frequency_frac: float = 1.0
    loading: bool = False

    @property
    def configuration(self) -> Configuration | None:
        """With the capped clock, if there is a cap."""
        base = self.option.configuration
        if base is None or self.frequency_frac == 1.0:
            return base
        return replace(base, frequency_mhz=base.frequency_mhz * self.frequency_frac)


@dataclass(frozen=True, slots=True)
class _Due:
    """A step of an actuator that will be done at a time."""

    at_s: float
    vm: str
    option: Option | None
    frequency_frac: float | None
    loading: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Served:
    """Tokens per second asked for and served in a step, and quality × served."""

    asked: float
    served: float
    quality: float
    iaas_performance_frac: float


class MachineRoom:
    """Runs VMs on a plant, one step at a time."""

    def __init__(self, plant: Plant, workload: Workload, options: Mapping[str, Option], actuation: Actuation) -> None:
        self.plant = plant
        self.topology: Topology = plant.topology
        self.running: dict[str, Running] = {}
        self._workload = workload
        self._options = options
        self._actuation = actuation
        self._number = {name: s for s, name in enumerate(self.topology.servers)}
        self._due: list[_Due] = []
        self._instances: dict[tuple[Configuration, str], Instance] = {}

    # VMs and orders.

    def host(self, vm: Vm, server: str, profile: Profile | None) -> None:
        """Start a VM on a server; ``profile`` of the configuration that a SaaS VM starts with."""
        name = "iaas" if profile is None else f"{profile.configuration.name}@1"
        self.running[vm.name] = Running(vm, self._number[server], Option(name, profile, 1.0))

    def evict(self, names: Sequence[str]) -> None:
        """VMs leave."""
        for name in names:
            self.running.pop(name, None)
        self._due = [item for item in self._due if item.vm in self.running]

    def order(self, orders: Orders, now_s: float) -> None:
        """Start the actuators; whatever was under way for the same VM and knob is dropped."""
        for name, choice in orders.choice_of.items():
            if name in self.running:
                loaded_s = self._loaded_s(self.running[name], now_s)
                self._drop(name, option=True)
                self._due += self._choice_steps(self.running[name], self._options[choice], now_s, loaded_s)
        for name, frac in orders.frequency_frac_of.items():
            if name in self.running:
                self._drop(name, option=False)
                self._due.append(_Due(now_s + self._cap_s(self.running[name]), name, None, frac, False, True))

    def _loaded_s(self, running: Running, now_s: float) -> float:
        """When the weights that are being loaded will be there."""
        steps = [item.at_s for item in self._due if item.vm == running.vm.name and item.option is not None]
        return max(steps, default=now_s) if running.loading else now_s

    def _drop(self, name: str, *, option: bool) -> None:
        self._due = [item for item in self._due if item.vm != name or (item.option is None) == option]

    def _choice_steps(self, running: Running, then: Option, now_s: float, loaded_s: float) -> list[_Due]:
        """A change in flight is one step, which waits for weights being loaded; a reload drains, loads, then serves."""
        vm = running.vm.name
        ready_s = now_s + self._actuation.delay_s(running.option, then)
        if then.profile is None:
            return [_Due(ready_s, vm, then, None, False, True)]
        if not self._actuation.reloads(running.option, then):
            return [_Due(max(ready_s, loaded_s), vm, then, None, False, True)]
        return [
            _Due(ready_s - then.profile.reload_s, vm, then, None, True, False),
            _Due(ready_s, vm, then, None, False, True),
        ]

    def _cap_s(self, running: Running) -> float:
        a = self._actuation
        in_band = running.vm.kind is VmKind.SAAS
        return a.detect_s + a.decide_s + (a.clock_s if in_band else a.out_of_band_s)

    def act(self, now_s: float) -> list[str]:
        """Do what is due; the VMs whose last order is done now."""
        done = sorted((item for item in self._due if item.at_s <= now_s + 1e-9), key=lambda item: item.at_s)
        self._due = [item for item in self._due if item.at_s > now_s + 1e-9]
        finished = []
        for item in done:
            before = self.running[item.vm]
            if item.option is not None:
                before = replace(before, option=item.option, loading=item.loading)
            if item.frequency_frac is not None:
                before = replace(before, frequency_frac=item.frequency_frac)
            self.running[item.vm] = before
            if item.last:
                finished.append(item.vm)
        return finished

    # Time.

    def step(self, dt_s: float, demand_tokens_per_s: Mapping[str, float], shares: Shares) -> Moment:
        """Let time pass under this demand, spread by these shares."""
        power, served = self._work(demand_tokens_per_s, shares)
        truth = self.plant.step(dt_s, Demand(power))
        return self._moment(truth, served)

    def _work(self, demand: Mapping[str, float], shares: Shares) -> tuple[FloatArray, Served]:
        """GPU power that the work asks for, and what is served."""
        power = self.plant.idle_demand().gpu_power_w
        iaas_performance_frac = self._run_iaas(power)
        served, quality = self._run_saas(power, demand, shares)
        return power, Served(sum(demand.values()), served, quality, iaas_performance_frac)

    def _run_iaas(self, power: FloatArray) -> float:
        """Fill in what IaaS VMs draw; their mean speed relative to what they asked for."""
        iaas = [item for item in self.running.values() if item.vm.kind is VmKind.IAAS]
        if not iaas:
            return 1.0
        loads = self._workload.vm_load_frac([item.vm for item in iaas], self.plant.t_s)
        for item, load in zip(iaas, loads, strict=True):
            watts = iaas_gpu_power_w(load, item.frequency_frac, self._hardware(item.server))
            power[item.server] = self._padded(watts, power.shape[1])
        return float(np.mean([item.frequency_frac * self._speed(item.server) for item in iaas]))

    def _run_saas(self, power: FloatArray, demand: Mapping[str, float], shares: Shares) -> tuple[float, float]:
        """Fill in what instances draw; tokens/s served, and quality × served. Beyond its goodput a share is lost."""
        served = quality = 0.0
        for item in self.running.values():
            configuration = item.configuration
            if item.vm.kind is VmKind.IAAS or configuration is None or item.loading:
                continue
            instance = self._instance(configuration, item.server)
            endpoint = item.vm.endpoint or ""
            asked = demand.get(endpoint, 0.0) * shares.get(endpoint, {}).get(item.vm.name, 0.0)
            given = min(asked, instance.goodput_tokens_per_s * item.option.level)
            watts = instance.gpu_powers_w(given / instance.goodput_tokens_per_s)
            power[item.server] = self._padded(watts, power.shape[1])
            done = given * self._speed(item.server)
            served += done
            quality += done * instance.quality
        return served, quality

    def _speed(self, server: int) -> float:
        """Relative speed of a server: nothing in the dark, half while its hottest GPU throttles."""
        truth = self.plant.truth
        if truth.dark[server]:
            return 0.0
        return 1.0 - (1.0 - THROTTLED_SPEED) * float(truth.throttled_frac[server].max())

    def _instance(self, configuration: Configuration, server: int) -> Instance:
        name = self.topology.hardware[self.topology.server_hardware[server]]
        key = (configuration, name)
        if key not in self._instances:
            self._instances[key] = Instance(configuration, self.topology.site.hardware[name])
        return self._instances[key]

    def _hardware(self, server: int) -> Hardware:
        return self.topology.site.hardware[self.topology.hardware[self.topology.server_hardware[server]]]

    @staticmethod
    def _padded(powers: FloatArray, width: int) -> FloatArray:
        return np.pad(powers, (0, width - len(powers)))

    def _moment(self, truth: Truth, served: Served) -> Moment:
        effect = self.plant.effect
        return Moment(
            t_s=truth.t_s,
            row_power_w=truth.row_power_w,
            row_budget_w=effect.row_budget_w,
            ups_power_w=truth.ups_power_w,
            ups_capacity_w=effect.ups_capacity_w,
            aisle_airflow_cfm=truth.aisle_airflow_cfm,
            aisle_capacity_cfm=truth.aisle_airflow_capacity_cfm,
            hottest_gpu_c=float(np.nanmax(truth.gpu_temperature_c)),
            throttled_servers=int(truth.throttled.any(axis=1).sum()),
            quality_frac=served.quality / served.served if served.served > 0 else float("nan"),
            served_frac=served.served / served.asked if served.asked > 0 else 1.0,
            iaas_performance_frac=served.iaas_performance_frac,
        )

    def readings(self, demand_tokens_per_s: Mapping[str, float]) -> Readings:
        """What a telemetry system would push: sensors of the plant, meters of the UPSs, counters of the gateways."""
        sensed, truth, topology = self.plant.read(), self.plant.truth, self.topology
        return Readings(
            observed_at_s=truth.t_s,
            outdoor_c=_named(topology.rooms, sensed.room_outdoor_c),
            server_power_w=_named(topology.servers, sensed.server_power_w),
            inlet_c=_named(topology.servers, sensed.server_inlet_c),
            airflow_cfm=_named(topology.servers, sensed.server_airflow_cfm),
            gpu_power_w=_by_server(topology.servers, sensed.gpu_power_w),
            gpu_temperature_c=_by_server(topology.servers, sensed.gpu_temperature_c),
            gpu_memory_temperature_c=_by_server(topology.servers, sensed.gpu_memory_temperature_c),
            gpu_load_frac=_by_server(topology.servers, sensed.gpu_load_frac),
            row_power_w=_named(topology.rows, sensed.row_meter_power_w),
            ups_power_w=_named(topology.upses, truth.ups_power_w),
            endpoint_tokens_per_s=dict(demand_tokens_per_s),
        )


def _named(names: Sequence[str], values: FloatArray) -> dict[str, float]:
    """Readings by name; what is missing is left out, never zero."""
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}


def _by_server(names: Sequence[str], values: FloatArray) -> dict[str, tuple[float, ...]]:
    """Readings of each server's GPUs; a server none of whose GPUs was read is left out."""
    rows = zip(names, np.isfinite(values), values.tolist(), strict=True)
    return {name: tuple(row) for name, read, row in rows if read.any()}

"""The plant: a room full of servers that heats, cools, draws and trips as a real one would.

It generates the history that is learned from, and is stepped by the closed-loop drill. It shares no formula and no
code with ``learn``: what is learned must stand against a world that nobody has told it about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Effect, Failure
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import InvalidInput
from tapas_opt.plant import physics
from tapas_opt.plant.air import Air
from tapas_opt.plant.bad_sensors import BadSensors
from tapas_opt.plant.brake import PowerBrake
from tapas_opt.plant.machines import machines_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.power_chain import PowerChain
from tapas_opt.plant.sensors import Readings, Sensors
from tapas_opt.plant.swings import NO_JOB, Peaks, peaks_of, server_swing
from tapas_opt.plant.truth import Truth
from tapas_opt.plant.weather import Weather

__all__ = ["Demand", "Plant"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Demand:
    """What the work on the servers asks for.

    Attributes
    ----------
    gpu_power_w
        ``[S, G]`` electrical power that each GPU would draw at reference leakage and unthrottled, in the mean of the
        step; an idle GPU asks for its idle power. Places without a GPU are ignored.
    gpu_peak_w
        ``[S, G]`` the most that a GPU draws in its busiest phase, at the clocks in force; its maximum if None.
    engines
        ``[S]`` how many engines share a server's GPUs, each with phases of its own; one if None.
    job
        ``[S]`` servers of the same number, 0 or more, work in step; :data:`~tapas_opt.plant.swings.NO_JOB` for those
        that work alone, as all do if None.
    """

    gpu_power_w: FloatArray
    gpu_peak_w: FloatArray | None = None
    engines: IntArray | None = None
    job: IntArray | None = None


class Plant:
    """The simulated truth of one site.

    Parameters
    ----------
    seed
        Draws weather and sensor noise. The machines themselves are drawn from the names of site and servers, so that
        they are the same in every run.
    start_s
        Time at which it starts; 0 is a Monday at midnight.
    outdoor
        Outdoor temperature (°C) by time (s), where it should not be the seed's own weather.

    Attributes
    ----------
    bad_sensors
        Those that are bad; None where all are good.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        seed: int,
        start_s: float = 0.0,
        parameters: Parameters | None = None,
        outdoor: Callable[[float], float] | None = None,
    ) -> None:
        self.topology = topology
        self.t_s = start_s
        self.parameters = p = parameters or Parameters()
        self.machines = machines_of(topology, p)
        self._outdoor = outdoor or Weather(seed).outdoor_c
        self._chain = PowerChain(topology, p)
        self._sensors = Sensors(self.machines, seed, p)
        self.bad_sensors = BadSensors(topology, self.machines, seed, start_s, p) if p.bad_sensor_frac > 0 else None
        self._air = Air(topology, self.machines, self._outdoor(start_s), p)
        self._brakes = PowerBrake(len(topology.servers), p.brake_latency_s)
        self._gpus = self.machines.has_gpu.sum(axis=1)
        self._gpu_span_w = np.where(self.machines.has_gpu, self.machines.gpu_max_w - self.machines.gpu_idle_w, 1.0)
        self._start_cold()

    def fail(self, failure: Failure) -> None:
        """Let an element fail from now on.

        Raises
        ------
        NotFound
            If the site has no such element.
        """
        self._chain.fail(failure)

    def clear(self, failure: Failure) -> None:
        """End a failure of this kind and element; if a UPS or PDU had tripped, it is closed again."""
        self._chain.clear(failure)

    def brake(self, servers: Sequence[int] | IntArray, on: bool = True) -> None:
        """Order the power brakes of servers on or off; in force once the order has come through out of band.

        A braked GPU keeps ``throttle_frac`` of its dynamic power and speed.
        """
        self._brakes.order(servers, on, self.t_s)

    @property
    def effect(self) -> Effect:
        """Feeds and capacities that are left now, trips included."""
        return self._chain.effect

    def idle_demand(self) -> Demand:
        """Every GPU on and idle."""
        return Demand(self.machines.gpu_idle_w.copy())

    def step(self, dt_s: float, demand: Demand) -> Truth:
        """Let ``dt_s`` seconds pass under a constant demand.

        Longer steps are cut into substeps of at most ``max_substep_s``; lags are integrated exactly in each.

        Returns
        -------
        Truth
            The state at the end of the step; ``throttled`` holds for any moment in it.

        Raises
        ------
        InvalidInput
            If the step is not positive, or the demand has the wrong shape or holds anything but finite numbers.
        """
        wanted = self._judged(dt_s, demand)
        throttled = np.zeros(wanted.shape)
        for substep_s in self._substeps(dt_s):
            throttled += self._throttled * (substep_s / dt_s)
            self._advance(substep_s, wanted)
        self.truth = self._observed(throttled, demand)
        return self.truth

    def _substeps(self, dt_s: float) -> Iterator[float]:
        """Cut a step where a brake comes into force, and into parts of at most ``max_substep_s``."""
        left_s = dt_s
        while left_s > 0:
            brake_s = self._brakes.next_s() - self.t_s
            span_s = brake_s if 0 < brake_s < left_s else left_s
            parts = ceil(span_s / self.parameters.max_substep_s)
            yield from [span_s / parts] * parts
            left_s -= span_s

    def read(self) -> Readings:
        """What the sensors say about the last step: noisy, rounded, sometimes missing; the bad ones say anything."""
        readings = self._sensors.read(self.truth)
        return readings if self.bad_sensors is None else self.bad_sensors.of(readings)

    def _start_cold(self) -> None:
        """Idle, at the temperature of supply air, at the present outdoor temperature."""
        shape = self.machines.has_gpu.shape
        self._fan_speed = np.full(shape[0], self.parameters.fan_floor)
        self._inlet_c = self._air.inlet_c()
        self._temperature_c = np.repeat(self._inlet_c[:, None], shape[1], axis=1)
        self._memory_c = self._temperature_c.copy()
        self._throttled = np.zeros(shape, dtype=bool)
        self._off_until_s = np.full(shape[0], -np.inf)
        self._advance(0.0, self.machines.gpu_idle_w)
        self.truth = self._observed(np.zeros(shape), self.idle_demand())

    def _judged(self, dt_s: float, demand: Demand) -> FloatArray:
        wanted = np.asarray(demand.gpu_power_w, dtype=np.float64)
        if not dt_s > 0:
            raise InvalidInput.one("step", "dt_s", f"{dt_s}: must be above 0")
        if wanted.shape != self.machines.has_gpu.shape:
            expected = self.machines.has_gpu.shape
            raise InvalidInput.one("demand", "gpu_power_w", f"has shape {wanted.shape}: must be {expected}")
        if not np.isfinite(wanted).all():
            raise InvalidInput.one("demand", "gpu_power_w", "must hold finite numbers only")
        for name, value in (("gpu_peak_w", demand.gpu_peak_w), ("engines", demand.engines), ("job", demand.job)):
            expected = wanted.shape if name == "gpu_peak_w" else wanted.shape[:1]
            if value is not None and value.shape != expected:
                raise InvalidInput.one("demand", name, f"has shape {value.shape}: must be {expected}")
        return np.where(self.machines.has_gpu, wanted, 0.0)

    def _advance(self, dt_s: float, wanted_w: FloatArray) -> None:
        """One substep: power first, then what protects it, then air, then heat."""
        self._brakes.step(self.t_s)
        self.t_s += dt_s
        self._draw_power(wanted_w)
        self._chain.protect(self._flow, dt_s)
        self._blow(dt_s)
        self._air.step(dt_s, self._airflow, self._flow.row_w, self._outdoor(self.t_s), self._chain.effect)
        self._inlet_c = self._air.inlet_c()
        self._warm_gpus(dt_s)
        self._shut_down_the_hottest()

    def _draw_power(self, wanted_w: FloatArray) -> None:
        m, p = self.machines, self.parameters
        self._dark = self._chain.dark | (self.t_s < self._off_until_s)
        slowed = self._throttled | self._brakes.on[:, None]
        gpu_w = physics.gpu_power_w(wanted_w, self._temperature_c, slowed, m.gpu_idle_w, m.gpu_max_w, p)
        self._gpu_w = np.where(self._dark[:, None], 0.0, gpu_w)
        asked = np.clip((wanted_w - m.gpu_idle_w) / self._gpu_span_w, 0.0, 1.0)
        self._load = np.where(self._dark[:, None], 0.0, np.where(slowed, p.throttle_frac * asked, asked))
        self._fan_speed = np.where(self._dark, 0.0, self._fan_speed)
        busy = physics.over_gpus(np.add, self._load) / self._gpus
        output_w = physics.over_gpus(np.add, self._gpu_w) + m.host_idle_w + m.host_load_w * busy
        output_w += m.air_density_frac * physics.fan_power_w(self._fan_speed, m.fan_full_w)
        drawn_w = output_w + physics.supply_loss_w(output_w, m.max_power_w)
        self._server_w = np.where(self._dark, 0.0, drawn_w)
        self._flow = self._chain.flow(self._server_w)

    def _blow(self, dt_s: float) -> None:
        """Fans follow the hottest GPU and the inlet."""
        m, p = self.machines, self.parameters
        wanted = physics.fan_speed_wanted(physics.over_gpus(np.maximum, self._temperature_c), self._inlet_c, p)
        speed = physics.approached(self._fan_speed, wanted, dt_s, p.fan_time_constant_s)
        self._fan_speed = np.where(self._dark, 0.0, speed)
        self._airflow = m.air_density_frac * physics.airflow_cfm(self._fan_speed, m.max_airflow_cfm)

    def _warm_gpus(self, dt_s: float) -> None:
        m, p = self.machines, self.parameters
        thinned = m.air_density_frac * self._fan_speed
        resistance = m.resistance_k_per_w * physics.resistance_factor(thinned, p)[:, None]
        target = self._inlet_c[:, None] + resistance * self._gpu_w
        self._temperature_c = physics.approached(self._temperature_c, target, dt_s, p.gpu_time_constant_s)
        load = self._gpu_w / np.where(m.has_gpu, m.gpu_max_w, 1.0)
        hotter = np.where(self._dark[:, None], 0.0, physics.memory_rise_k(load, p))
        self._memory_c = physics.approached(
            self._memory_c, self._temperature_c + hotter, dt_s, p.memory_time_constant_s
        )
        self._throttled = m.has_gpu & physics.throttles(
            self._throttled, self._temperature_c, self._memory_c, m.gpu_limit_c, m.memory_limit_c, p
        )

    def _shut_down_the_hottest(self) -> None:
        """Servers turn themselves off before they burn, and on again a while after their inlets are as allowed."""
        p = self.parameters
        hot = (self._inlet_c >= p.shutdown_inlet_c) | (
            physics.over_gpus(np.maximum, self._temperature_c) >= p.shutdown_c
        )
        waits = (self.t_s < self._off_until_s) & (self._inlet_c > p.restart_inlet_c)
        self._off_until_s = np.where(hot | waits, self.t_s + p.restart_s, self._off_until_s)

    def _peaks(self, demand: Demand) -> Peaks:
        """Power of the worst second of a thousand."""
        m, servers = self.machines, len(self._server_w)
        peak = m.gpu_max_w if demand.gpu_peak_w is None else np.where(m.has_gpu, demand.gpu_peak_w, 0.0)
        engines = np.ones(servers) if demand.engines is None else demand.engines
        job = np.full(servers, NO_JOB) if demand.job is None else demand.job
        burst = np.where(self._dark, 0.0, self.parameters.burst_frac / np.sqrt(engines))
        swing = server_swing(self._gpu_w, m.gpu_idle_w, peak, burst, m.host_w_per_w)
        return peaks_of(self.topology, self._server_w, self._flow, swing, job)

    def _observed(self, throttled_frac: FloatArray, demand: Demand) -> Truth:
        m, t, chain, air = self.machines, self.topology, self._chain, self._air
        peaks = self._peaks(demand)
        return Truth(
            t_s=self.t_s,
            outdoor_c=self._outdoor(self.t_s),
            supply_c=air.supply_c,
            inlet_c=self._inlet_c,
            gpu_load_frac=self._load,
            gpu_power_w=self._gpu_w,
            gpu_temperature_c=np.where(m.has_gpu, self._temperature_c, np.nan),
            gpu_memory_temperature_c=np.where(m.has_gpu, self._memory_c, np.nan),
            server_power_w=self._server_w,
            server_power_p999_w=peaks.server_w,
            airflow_cfm=self._airflow,
            rack_power_w=self._flow.rack_w,
            rack_power_p999_w=peaks.rack_w,
            row_power_w=self._flow.row_w,
            row_power_p999_w=peaks.row_w,
            pdu_power_w=self._flow.pdu_w,
            pdu_power_p999_w=peaks.pdu_w,
            ups_power_w=self._flow.ups_w,
            ups_power_p999_w=peaks.ups_w,
            aisle_airflow_cfm=air.wanted_cfm,
            aisle_supplied_cfm=air.supplied_cfm,
            aisle_airflow_capacity_cfm=chain.effect.aisle_airflow_capacity_cfm,
            aisle_rise_k=air.rise_k,
            aisle_heat_w=air.heat_w,
            aisle_heat_removed_w=air.removed_w,
            aisle_heat_capacity_w=chain.effect.aisle_heat_capacity_w,
            ups_tolerance_used=chain.upses.used.copy(),
            pdu_tolerance_used=chain.pdus.used.copy(),
            row_tolerance_used=chain.rows.used.copy(),
            rack_tolerance_used=chain.racks.used.copy(),
            tripped_upses=_named(t.upses, chain.upses.opened),
            tripped_pdus=_named(t.pdus, chain.pdus.opened),
            tripped_rows=_named(t.rows, chain.rows.opened),
            tripped_racks=_named(t.racks, chain.racks.opened),
            throttled=(throttled_frac > 0) | self._throttled,
            throttled_frac=throttled_frac,
            braked=self._brakes.on.copy(),
            dark=self._dark,
            shut_down=self.t_s < self._off_until_s,
        )


def _named(names: tuple[str, ...], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(names[i] for i in np.flatnonzero(chosen))

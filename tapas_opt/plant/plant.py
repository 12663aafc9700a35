"""The plant: a room full of servers that heats, cools, draws and trips as a real one would.

It generates the history that is learned from, and is stepped by the closed-loop drill. It shares no formula and no
code with ``learn``: what is learned must stand against a world that nobody has told it about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Effect, Failure
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import InvalidInput
from tapas_opt.plant import physics
from tapas_opt.plant.bad_sensors import BadSensors
from tapas_opt.plant.machines import machines_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.power_chain import PowerChain
from tapas_opt.plant.sensors import Readings, Sensors
from tapas_opt.plant.truth import Truth
from tapas_opt.plant.weather import Weather

__all__ = ["Demand", "Plant"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Demand:
    """What the work on the servers asks for.

    Attributes
    ----------
    gpu_power_w
        ``[S, G]`` electrical power that each GPU would draw at reference leakage and unthrottled; an idle GPU asks for
        its idle power. Places without a GPU are ignored.
    """

    gpu_power_w: FloatArray


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
        self._room_budget_w = physics.summed(
            topology.row_budget_w, topology.aisle_room[topology.row_aisle], len(topology.rooms)
        )
        self._server_room, self._server_aisle = topology.server_room, topology.server_aisle
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
        substeps = ceil(dt_s / self.parameters.max_substep_s)
        throttled = np.zeros(wanted.shape)
        for _ in range(substeps):
            throttled += self._throttled
            self._advance(dt_s / substeps, wanted)
        self.truth = self._observed(throttled / substeps)
        return self.truth

    def read(self) -> Readings:
        """What the sensors say about the last step: noisy, rounded, sometimes missing; the bad ones say anything."""
        readings = self._sensors.read(self.truth)
        return readings if self.bad_sensors is None else self.bad_sensors.of(readings)

    def _start_cold(self) -> None:
        """Idle, at the temperature of supply air, at the present outdoor temperature."""
        shape = self.machines.has_gpu.shape
        rooms = len(self.topology.rooms)
        self._supply_c = np.full(rooms, float(physics.supply_air_c(self._outdoor(self.t_s), self.parameters)))
        self._aisle_rise_k = np.zeros(len(self.topology.aisles))
        self._fan_speed = np.full(shape[0], self.parameters.fan_floor)
        self._temperature_c = np.repeat(self._inlet_c()[:, None], shape[1], axis=1)
        self._memory_c = self._temperature_c.copy()
        self._throttled = np.zeros(shape, dtype=bool)
        self._advance(0.0, self.machines.gpu_idle_w)
        self.truth = self._observed(np.zeros(shape))

    def _judged(self, dt_s: float, demand: Demand) -> FloatArray:
        wanted = np.asarray(demand.gpu_power_w, dtype=np.float64)
        if not dt_s > 0:
            raise InvalidInput.one("step", "dt_s", f"{dt_s}: must be above 0")
        if wanted.shape != self.machines.has_gpu.shape:
            expected = self.machines.has_gpu.shape
            raise InvalidInput.one("demand", "gpu_power_w", f"has shape {wanted.shape}: must be {expected}")
        if not np.isfinite(wanted).all():
            raise InvalidInput.one("demand", "gpu_power_w", "must hold finite numbers only")
        return np.where(self.machines.has_gpu, wanted, 0.0)

    def _advance(self, dt_s: float, wanted_w: FloatArray) -> None:
        """One substep: power first, then what protects it, then air, then heat."""
        self.t_s += dt_s
        self._draw_power(wanted_w)
        self._chain.protect(self._flow, dt_s)
        self._move_air(dt_s)
        self._warm_gpus(dt_s)

    def _draw_power(self, wanted_w: FloatArray) -> None:
        m, p = self.machines, self.parameters
        self._dark = self._chain.dark
        gpu_w = physics.gpu_power_w(wanted_w, self._temperature_c, self._throttled, m.gpu_idle_w, m.gpu_max_w, p)
        self._gpu_w = np.where(self._dark[:, None], 0.0, gpu_w)
        asked = np.clip((wanted_w - m.gpu_idle_w) / self._gpu_span_w, 0.0, 1.0)
        self._load = np.where(self._dark[:, None], 0.0, np.where(self._throttled, p.throttle_frac * asked, asked))
        self._fan_speed = np.where(self._dark, 0.0, self._fan_speed)
        busy = self._load.sum(axis=1) / m.has_gpu.sum(axis=1)
        output_w = self._gpu_w.sum(axis=1) + m.host_idle_w + m.host_load_w * busy
        output_w += physics.fan_power_w(self._fan_speed, m.fan_full_w)
        drawn_w = output_w + physics.supply_loss_w(output_w, m.max_power_w)
        self._server_w = np.where(self._dark, 0.0, drawn_w)
        self._flow = self._chain.flow(self._server_w)

    def _move_air(self, dt_s: float) -> None:
        """Fans, aisles short of air, and the room's supply air."""
        p, t = self.parameters, self.topology
        wanted = physics.fan_speed_wanted(self._temperature_c.max(axis=1), self._inlet_c(), p)
        speed = physics.approached(self._fan_speed, wanted, dt_s, p.fan_time_constant_s)
        self._fan_speed = np.where(self._dark, 0.0, speed)
        self._airflow = physics.airflow_cfm(self._fan_speed, self.machines.max_airflow_cfm)
        self._aisle_flow = physics.summed(self._airflow, self._server_aisle, len(t.aisles))
        self._aisle_heat = physics.summed(self._server_w, self._server_aisle, len(t.aisles))
        effect = self._chain.effect
        returned = physics.recirculated_frac(
            self._aisle_flow, effect.aisle_airflow_capacity_cfm, self._aisle_heat, effect.aisle_heat_capacity_w
        )
        exhaust = physics.exhaust_rise_k(self._aisle_heat, self._aisle_flow)
        self._aisle_rise_k = physics.mixed_rise_k(self._aisle_rise_k, returned, exhaust, dt_s, p)
        room_load = physics.summed(self._server_w, self._server_room, len(t.rooms)) / self._room_budget_w
        supply = physics.supply_air_c(self._outdoor(self.t_s), p) + physics.room_rise_k(room_load, p)
        target = supply + effect.supply_rise_c
        self._supply_c = physics.approached(self._supply_c, target, dt_s, p.room_time_constant_s)

    def _warm_gpus(self, dt_s: float) -> None:
        m, p = self.machines, self.parameters
        resistance = m.resistance_k_per_w * physics.resistance_factor(self._fan_speed, p)[:, None]
        target = self._inlet_c()[:, None] + resistance * self._gpu_w
        self._temperature_c = physics.approached(self._temperature_c, target, dt_s, p.gpu_time_constant_s)
        load = self._gpu_w / np.where(m.has_gpu, m.gpu_max_w, 1.0)
        hotter = np.where(self._dark[:, None], 0.0, physics.memory_rise_k(load, p))
        self._memory_c = physics.approached(
            self._memory_c, self._temperature_c + hotter, dt_s, p.memory_time_constant_s
        )
        self._throttled = m.has_gpu & physics.throttles(
            self._throttled, self._temperature_c, self._memory_c, m.gpu_limit_c, m.memory_limit_c, p
        )

    def _inlet_c(self) -> FloatArray:
        mixed = self.machines.recirculation_weight * self._aisle_rise_k[self._server_aisle]
        return np.asarray(self._supply_c[self._server_room] + self.machines.inlet_offset_c + mixed)

    def _observed(self, throttled_frac: FloatArray) -> Truth:
        m, t, chain = self.machines, self.topology, self._chain
        return Truth(
            t_s=self.t_s,
            outdoor_c=self._outdoor(self.t_s),
            supply_c=self._supply_c,
            inlet_c=self._inlet_c(),
            gpu_load_frac=self._load,
            gpu_power_w=self._gpu_w,
            gpu_temperature_c=np.where(m.has_gpu, self._temperature_c, np.nan),
            gpu_memory_temperature_c=np.where(m.has_gpu, self._memory_c, np.nan),
            server_power_w=self._server_w,
            airflow_cfm=self._airflow,
            row_power_w=self._flow.row_w,
            pdu_power_w=self._flow.pdu_w,
            ups_power_w=self._flow.ups_w,
            aisle_airflow_cfm=self._aisle_flow,
            aisle_airflow_capacity_cfm=chain.effect.aisle_airflow_capacity_cfm,
            aisle_heat_w=self._aisle_heat,
            aisle_heat_capacity_w=chain.effect.aisle_heat_capacity_w,
            ups_tolerance_used=chain.upses.used.copy(),
            pdu_tolerance_used=chain.pdus.used.copy(),
            row_tolerance_used=chain.rows.used.copy(),
            tripped_upses=_named(t.upses, chain.upses.opened),
            tripped_pdus=_named(t.pdus, chain.pdus.opened),
            tripped_rows=_named(t.rows, chain.rows.opened),
            throttled=(throttled_frac > 0) | self._throttled,
            throttled_frac=throttled_frac,
            dark=self._dark,
        )


def _named(names: tuple[str, ...], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(names[i] for i in np.flatnonzero(chosen))

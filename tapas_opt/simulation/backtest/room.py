"""A room that replays: VMs draw what was measured, wherever a policy puts them; models say what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Actuation
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.failure import effect_of
from tapas_opt.domain.panel import SLOT_S, mean_of_present
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.sensors import Readings
from tapas_opt.simulation.backtest.crew import Crew, crew_of
from tapas_opt.simulation.backtest.past import Past
from tapas_opt.simulation.backtest.predicted import Heat, Room
from tapas_opt.simulation.policy import Shares
from tapas_opt.simulation.record import Moment
from tapas_opt.simulation.sensed import Telemetry
from tapas_opt.simulation.tenants import Tenants

__all__ = ["ReplayRoom", "State"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class State:
    """What is drawn in a slot, ``[server]``, ``[server, gpu]``, ``[row]`` and ``[UPS]``, and the heat that follows."""

    slot: int
    server_power_w: FloatArray
    gpu_power_w: FloatArray
    row_power_w: FloatArray
    ups_power_w: FloatArray
    heat: Heat


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot as it happened, without gaps.

    Attributes
    ----------
    server_power_w, gpu_power_w
        ``[server]`` and ``[server, gpu]`` as measured; of what was never read, idle power.
    more_w
        ``[row]`` what its meter showed beyond its servers; it shows that wherever VMs are.
    inlet_c, idle_power_w
        ``[server]`` as predicted, and what one without a VM draws in such air.
    """

    t: int
    server_power_w: FloatArray
    gpu_power_w: FloatArray
    more_w: FloatArray
    inlet_c: FloatArray
    idle_power_w: FloatArray


class ReplayRoom(Tenants):
    """Takes VMs through the slots of the past, one slot at a time.

    Power is ``base + Σ extra`` of each server. Its base is what was measured while no VM ran on it, and what the models
    say of an idle server at other times; a VM's extra is what its server drew beyond that in the same slot. So a VM
    that stays where it was draws what was measured, and the sum over the site does not change by moving VMs. On other
    hardware an extra counts in proportion to the range between idle and nameplate.

    What was never measured is the difference that an order or another share of the traffic makes: for an instance that
    of its profiles at both loads, for a capped clock that of :func:`clock_power_frac`, and then of the learned power of
    servers.

    Attributes
    ----------
    state
        Of the last slot; before the first, what was measured in the first.
    """

    def __init__(self, past: Past, models: LearnedModels, profiles: Profiles, actuation: Actuation) -> None:
        super().__init__(past.topology.servers, {option.name: option for option in profiles.options}, actuation)
        self.past = past
        self.room = Room(past.topology, models)
        self._stays = {stay.vm.name: stay for stay in past.stays}
        self._crew: Crew | None = None
        self._laid_out = self.changes
        self._profiles = profiles
        self._effect = effect_of(past.topology)
        self._span_w = self.room.span_w
        self._idle_gpu_w = np.where(self.room.has_gpu, self.room.idle_gpu_w[:, None], np.nan)
        self._slot = self._slot_of(0)
        self.state = self.measured(0)

    def measured(self, t: int) -> State:
        """A slot as it happened."""
        kept = self._kept(t)
        return self._state(t, kept.server_power_w, kept.gpu_power_w)

    def step(self, t: int, demand_tokens_per_s: Mapping[str, float], shares: Shares) -> Moment:
        """Let a slot pass under this demand, spread by these shares."""
        given = self.crew.given(demand_tokens_per_s, shares)
        server_w, gpu_w = self._draw(t, given)
        self.state = self._state(t, server_w, gpu_w)
        asked, served = sum(demand_tokens_per_s.values()), float(given.sum())
        return replace(
            self.moment(self.state, self.state.heat.airflow_cfm, self.state.heat.gpu_c),
            quality_frac=float(given @ self.crew.quality) / served if served > 0.0 else float("nan"),
            served_frac=min(served / asked, 1.0) if asked > 0.0 else 1.0,
            iaas_performance_frac=self.crew.iaas_speed_frac,
        )

    def moment(self, state: State, airflow_cfm: FloatArray, gpu_c: FloatArray) -> Moment:
        """A sample of the room that draws as in a state, with this air and heat.

        Service is not looked at. What single requests lived to see stays unknown in any case: means of five minutes
        say what was carried, not who had to wait for it.
        """
        return Moment(
            t_s=float(self.past.panel.t_s[state.slot]) + SLOT_S,
            row_power_w=state.row_power_w,
            row_budget_w=self._effect.row_budget_w,
            ups_power_w=state.ups_power_w,
            ups_capacity_w=self.past.topology.ups_rating_w,
            aisle_airflow_cfm=self.room.aisles_cfm(airflow_cfm),
            aisle_capacity_cfm=self._effect.aisle_airflow_capacity_cfm,
            hottest_gpu_c=float(np.nanmax(gpu_c)),
            throttled_servers=int(self.too_hot(gpu_c).sum()),
            quality_frac=float("nan"),
            served_frac=float("nan"),
            iaas_performance_frac=float("nan"),
        )

    def too_hot(self, gpu_c: FloatArray) -> NDArray[np.bool_]:
        """``[server]`` whether any GPU is at its limit or above."""
        return np.asarray((gpu_c >= self.room.gpu_limit_c[:, None]).any(axis=1))

    def telemetry(self, now_s: float, demand_tokens_per_s: Mapping[str, float]) -> Telemetry:
        """What sensors would have said of the last slot: predictions, and what was read beyond them as it happened.

        So policies hear what the models miss, each sensor's noise, and nothing of a sensor that was silent then.
        """
        state, panel, t = self.state, self.past.panel, self.state.slot
        kept = self.measured(t).heat
        sensed = Readings(
            t_s=now_s,
            room_outdoor_c=panel.outdoor_c[t],
            server_inlet_c=state.heat.inlet_c + panel.inlet_c[t] - kept.inlet_c,
            server_power_w=np.where(np.isfinite(panel.server_power_w[t]), state.server_power_w, np.nan),
            server_airflow_cfm=state.heat.airflow_cfm + panel.airflow_cfm[t] - kept.airflow_cfm,
            gpu_load_frac=self._gpu_load_frac(state.gpu_power_w),
            gpu_power_w=np.where(np.isfinite(panel.gpu_power_w[t]), state.gpu_power_w, np.nan),
            gpu_temperature_c=state.heat.gpu_c + panel.gpu_c[t] - kept.gpu_c,
            gpu_memory_temperature_c=state.heat.gpu_memory_c + panel.gpu_memory_c[t] - kept.gpu_memory_c,
            row_meter_power_w=np.where(np.isfinite(panel.meter_w[t]), state.row_power_w, np.nan),
        )
        return Telemetry(now_s, sensed, state.ups_power_w, demand_tokens_per_s)

    def _gpu_load_frac(self, gpu_power_w: FloatArray) -> FloatArray:
        """``[server, gpu]`` used part of the power range, which is what opaque VMs' load is to the operator."""
        above_w = gpu_power_w - self.room.idle_gpu_w[:, None]
        return np.asarray(np.clip(above_w / self._span_w[1][:, None], 0.0, 1.0))

    @property
    def crew(self) -> Crew:
        """The VMs as arrays."""
        if self._crew is None or self._laid_out != self.changes:
            self._laid_out = self.changes
            self._crew = crew_of(self.running, self._stays, self._profiles, self.past.topology)
        return self._crew

    def _draw(self, t: int, given_tokens_per_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``[server]`` and ``[server, gpu]`` W: bases, what moves with VMs, and what orders change of that."""
        past, crew, kept = self.past, self.crew, self._kept(t)
        server_w = np.where(past.occupied[t], kept.idle_power_w, kept.server_power_w)
        gpu_w = np.where(past.occupied[t][:, None], self._idle_gpu_w, kept.gpu_power_w)
        scale, gpu_scale = (span[crew.server] / span[crew.column] for span in self._span_w)
        server_w[crew.server] += scale * (kept.server_power_w - kept.idle_power_w)[crew.column]
        extra_w = _evened((kept.gpu_power_w - self._idle_gpu_w)[crew.column])
        moved_w = gpu_w.copy()
        moved_w[crew.server] += gpu_scale[:, None] * extra_w
        ordered_w = crew.extra_w(extra_w, past.load_frac[t, crew.column[crew.instance]], given_tokens_per_s)
        gpu_w[crew.server] += gpu_scale[:, None] * ordered_w
        by_orders_w = self._servers_w(gpu_w, kept.inlet_c) - self._servers_w(moved_w, kept.inlet_c)
        return server_w + by_orders_w, gpu_w

    def _kept(self, t: int) -> _Slot:
        """What was measured in a slot, worked out once while it is the one that is looked at."""
        if self._slot.t != t:
            self._slot = self._slot_of(t)
        return self._slot

    def _slot_of(self, t: int) -> _Slot:
        server_w, gpu_w = self.past.server_power_w[t], self.past.gpu_power_w[t]
        inlet_c = self.room.inlet_c(self.past.outdoor_c[t], np.nan_to_num(server_w))
        idle_w = self.room.idle_power_w(inlet_c)
        kept_w = np.where(np.isnan(server_w), idle_w, server_w)
        more_w = self.past.meter_w[t] - self.room.rows_w(kept_w)
        return _Slot(
            t=t,
            server_power_w=kept_w,
            gpu_power_w=np.where(np.isnan(gpu_w), self._idle_gpu_w, gpu_w),
            more_w=np.where(np.isfinite(more_w), more_w, 0.0),
            inlet_c=inlet_c,
            idle_power_w=idle_w,
        )

    def _state(self, t: int, server_power_w: FloatArray, gpu_power_w: FloatArray) -> State:
        """Rows and UPSs, heat and air of what is drawn."""
        more_w = self._kept(t).more_w
        return State(
            slot=t,
            server_power_w=server_power_w,
            gpu_power_w=gpu_power_w,
            row_power_w=self.room.rows_w(server_power_w) + more_w,
            ups_power_w=self.room.upses_w(server_power_w, more_w),
            heat=self.room.heat(self.past.outdoor_c[t], server_power_w, gpu_power_w),
        )

    def _servers_w(self, gpu_power_w: FloatArray, inlet_c: FloatArray) -> FloatArray:
        """``[server]`` as learned."""
        return self.room.server_power_w(mean_of_present(gpu_power_w), inlet_c)


def _evened(values: FloatArray) -> FloatArray:
    """``[v, gpu]`` with the mean of a VM's other GPUs in the places of GPUs that its server did not have."""
    return np.where(np.isnan(values), mean_of_present(values)[:, None], values)

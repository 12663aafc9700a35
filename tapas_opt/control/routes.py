"""From a fleet and a forecast to the routing plan's problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import budget_numbers
from tapas_opt.control.fleet import FleetVm
from tapas_opt.control.forecast import Forecast
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.learn.curve import convex_majorant
from tapas_opt.routing.problem import RoutingProblem, whole_segments

__all__ = ["Mix", "is_loading", "routing_problem"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BREAKPOINTS_PERMILLE = np.array([0, 500, 700, 850, 950, 1000], dtype=np.int64)

LATENCY_PRICE = 0.02
"""Cost units per hour of a token/s at unit waiting. The last token/s that an instance takes costs 220 times that, which
is still less than half of one not served: nothing is refused while anybody has room."""

KNEE = 1.05
"""Waiting grows as u² / (KNEE − u): a queue's shape, kept finite at full load. What it costs above 95 % keeps an
instance free for what the next seconds bring, while another has room."""

_State = tuple[Profile, float]
"""A configuration and the level of load that it is run at."""

Mix = Mapping[str, Mapping[str, float]]
"""For each endpoint the fraction of its tokens that each request class brings."""


@dataclass(frozen=True, slots=True)
class _Curves:
    """Segments of one kind of instance (configuration, level, hardware), and what it draws beyond idle unloaded.

    The segments rise along convex curves above the profile's, which are true at full load; by how much they are above
    it unloaded is part of the unloaded draw.
    """

    goodput: int
    latency_cost: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    gpu_power_w: IntArray
    unloaded_gpu_w: int
    unloaded_power_w: float
    unloaded_airflow_cfm: float


def routing_problem(forecast: Forecast, mix: Mix) -> RoutingProblem:
    """State who may take what in the coming minutes.

    An instance takes nothing while its server is dark, while it is parked, and while it loads weights: until its agent
    has acknowledged a configuration that needs a reload. One that changes in flight may run the old or the new until
    then: it takes what either takes, and counts with what the one that draws more draws for that.
    """
    fleet, topology = forecast.fleet, forecast.fleet.topology
    placed = fleet.saas()
    on_server = np.array([fleet.server_number(p.server) for p in placed], dtype=np.int64)
    endpoints = sorted(fleet.endpoints)
    classes = [(name, e) for e, endpoint in enumerate(endpoints) for name in mix.get(endpoint, {})]
    curves = _curves(forecast, placed, on_server)
    demand = [forecast.demand_tokens_per_s(name) for name in endpoints]
    idle = frozenset(p.vm.name for p in placed)
    power, airflow = forecast.present_draw(idle)
    power[on_server, 0] += [c.unloaded_power_w for c in curves]
    airflow[on_server, 0] += [c.unloaded_airflow_cfm for c in curves]
    segments = len(BREAKPOINTS_PERMILLE) - 1
    return RoutingProblem(
        instances=tuple(p.vm.name for p in placed),
        servers=topology.servers,
        instance_server=on_server,
        instance_endpoint=np.array([endpoints.index(p.vm.endpoint or "") for p in placed], dtype=np.int64),
        endpoints=tuple(endpoints),
        classes=tuple(name for name, _ in classes),
        class_endpoint=np.array([e for _, e in classes], dtype=np.int64),
        class_tokens_per_s=np.array(
            [int(np.ceil(demand[e] * mix[endpoints[e]][name])) for name, e in classes], dtype=np.int64
        ),
        class_work_permille=np.full(len(classes), 1000, dtype=np.int64),
        instance_goodput=np.array([c.goodput for c in curves], dtype=np.int64),
        breakpoints_permille=BREAKPOINTS_PERMILLE,
        latency_cost=_stacked([c.latency_cost for c in curves], segments),
        power_w=_stacked([c.power_w for c in curves], segments),
        airflow_cfm=_stacked([c.airflow_cfm for c in curves], segments),
        gpu_power_w=_stacked([c.gpu_power_w for c in curves], segments),
        gpu_headroom_w=forecast.ceiling_w[on_server] - np.array([c.unloaded_gpu_w for c in curves], dtype=np.int64),
        budgets=budget_numbers(topology, forecast.effect, ("now",), power, airflow, forecast.present_margins),
    )


def _stacked(rows: Sequence[IntArray], segments: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(len(rows), segments)


def _curves(forecast: Forecast, placed: Sequence[FleetVm], on_server: IntArray) -> list[_Curves]:
    """One a VM; those that run the same on the same hardware share theirs."""
    topology, dark = forecast.fleet.topology, forecast.effect.server_dark
    known: dict[tuple[object, ...], _Curves] = {}
    found = []
    for vm, server in zip(placed, on_server.tolist(), strict=True):
        hardware = topology.hardware[topology.server_hardware[server]]
        states = () if dark[server] else _states(forecast, vm, hardware)
        key = (hardware, *((profile.configuration.name, level) for profile, level in states))
        if key not in known:
            known[key] = _open(forecast, states) if states else _closed(forecast, hardware)
        found.append(known[key])
    return found


def _states(forecast: Forecast, placed: FleetVm, hardware: str) -> tuple[_State, ...]:
    """What an instance may be running now; nothing where it loads weights, shall be parked, or may be."""
    shall = forecast.running(placed, hardware)
    runs = shall if placed.serving == placed.choice else forecast.serving(placed, hardware)
    if _loads(runs[0], shall[0]):
        return ()
    states = (shall,) if runs == shall else (shall, runs)
    serving = tuple((profile, level) for profile, level in states if profile is not None and level > 0.0)
    return serving if len(serving) == len(states) else ()


def is_loading(forecast: Forecast, placed: FleetVm, hardware: str) -> bool:
    """Whether its agent has yet to say that the weights of what it shall run are loaded."""
    return _loads(forecast.serving(placed, hardware)[0], forecast.running(placed, hardware)[0])


def _loads(before: Profile | None, after: Profile | None) -> bool:
    if after is None:
        return False
    return before is None or before.configuration.reload_needed(after.configuration)


def _closed(forecast: Forecast, hardware: str) -> _Curves:
    none = np.zeros(len(BREAKPOINTS_PERMILLE) - 1, dtype=np.int64)
    return _Curves(0, none, none, none, none, int(np.ceil(forecast.idle_gpu_power_w(hardware))), 0.0, 0.0)


def _open(forecast: Forecast, states: Sequence[_State]) -> _Curves:
    goodput = min(int(profile.goodput_tokens_per_s * level) for profile, level in states)
    drawn = [_drawn(forecast, profile, _level_at(goodput, profile, level)) for profile, level in states]
    power, airflow, hottest_w = (np.max(of, axis=0) for of in zip(*drawn, strict=True))
    fill = BREAKPOINTS_PERMILLE / 1000
    waiting = LATENCY_PRICE * goodput * fill**2 / (KNEE - fill)
    hardware, models = states[0][0].hardware, forecast.models
    inlet_c = forecast.mean_inlet_c(hardware)
    return _Curves(
        goodput=goodput,
        latency_cost=_segments(waiting),
        power_w=_segments(power),
        airflow_cfm=_segments(airflow),
        gpu_power_w=_segments(hottest_w),
        unloaded_gpu_w=int(np.ceil(hottest_w[0])),
        unloaded_power_w=max(0.0, float(power[0] - models.idle_server_power_w(hardware, inlet_c))),
        unloaded_airflow_cfm=max(0.0, float(airflow[0] - models.idle_airflow_cfm(hardware, inlet_c))),
    )


def _level_at(goodput: int, profile: Profile, level: float) -> float:
    """The level at which a configuration carries no more than that."""
    return level if int(profile.goodput_tokens_per_s * level) == goodput else goodput / profile.goodput_tokens_per_s


def _drawn(forecast: Forecast, profile: Profile, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``[breakpoint]`` convex curves of a server's power and airflow, and of its hottest GPU's power."""
    inlet_c = forecast.mean_inlet_c(profile.hardware)
    mean_w = _true_when_full(level, profile.gpu_power_w)
    return (
        forecast.models.server_power_majorant_w(profile.hardware, mean_w, inlet_c),
        forecast.models.airflow_majorant_cfm(profile.hardware, mean_w, inlet_c),
        _true_when_full(level, profile.hottest_gpu_power_w),
    )


def _segments(values: FloatArray) -> IntArray:
    return np.asarray(whole_segments(values[None, :], BREAKPOINTS_PERMILLE)[0])


@lru_cache(maxsize=1_024)
def _true_when_full(level: float, watts: tuple[float, ...]) -> FloatArray:
    """``[breakpoint]`` a convex curve nowhere below the profile's, and equal to it at the last breakpoint.

    Where limits bind, instances are full. A profile that is not convex gets the steepest line down from there.
    """
    load = level * BREAKPOINTS_PERMILLE / 1000
    knots = np.unique(np.concatenate([LOAD_LEVELS, load]))
    curve = np.interp(knots, LOAD_LEVELS, watts)
    full, lifted = float(curve[knots == load[-1]][0]), convex_majorant(load, knots, curve).values
    if lifted[-1] <= full:
        return lifted
    before = knots < load[-1]
    slope = float(((full - curve[before]) / (load[-1] - knots[before])).min())
    return np.asarray(full - slope * (load[-1] - load))

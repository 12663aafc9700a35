"""From a fleet, a forecast and a stage to a reconfiguration problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, budget_numbers
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.capping import Capped, cappable, capped
from tapas_opt.control.fleet import FleetVm
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.profiles import PARKED, Profiles, choice_name
from tapas_opt.control.promise import good_enough, in_time
from tapas_opt.control.routes import is_loading
from tapas_opt.domain.configuration import LOAD_LEVELS
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site import ToleranceCurve
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.reconfiguration.classes import looks_of, of_instances
from tapas_opt.reconfiguration.problem import Choices, ReconfigurationProblem, Stage

__all__ = ["FILL_FRAC", "protection_curves", "reconfiguration_problem"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SLOWED = "slowed-by-agreement"
"""Endpoint that opaque VMs which may be slowed count as; it asks for nothing."""

GRID_TOLERANCE = 1e-6

FILL_FRAC = 0.95
"""Part of their goodput that instances are to be needed for; the rest absorbs what comes until the next plan."""

AISLE_TOLERANCE_S = 60.0
"""How long an aisle short of air is borne: the thermal time constant of a GPU is seconds to a minute (facts)."""

RELOADS_AT_ONCE_FRAC = 0.1
"""Part of the instances that may load weights at the same time."""


def reconfiguration_problem(forecast: Forecast, stage: Stage, actuation: Actuation) -> ReconfigurationProblem:
    """State the next choice of every SaaS instance that has power, under the present failures."""
    fleet, topology = forecast.fleet, forecast.fleet.topology
    dark = forecast.effect.server_dark
    instances = [placed for placed in fleet.saas() if not dark[fleet.server_number(placed.server)]]
    on_server = np.array([fleet.server_number(placed.server) for placed in instances], dtype=np.int64)
    endpoints = sorted({placed.vm.endpoint or "" for placed in instances})
    choices = _choices(forecast)
    delay, reload = _tables(actuation, forecast.profiles)
    hardware = topology.server_hardware[on_server]
    slowed = cappable(forecast)
    movable = frozenset(placed.vm.name for placed in (*instances, *slowed))
    draw = forecast.present_draw(movable) if stage is Stage.NOW else forecast.coming_draw(movable)
    tolerance_s = _tolerance_s(forecast)
    problem = ReconfigurationProblem(
        stage=stage,
        instances=tuple(placed.vm.name for placed in instances),
        servers=topology.servers,
        endpoints=tuple(endpoints),
        instance_server=on_server,
        instance_endpoint=np.array([endpoints.index(placed.vm.endpoint or "") for placed in instances], dtype=np.int64),
        instance_hardware=hardware,
        current=_current(forecast, instances, hardware, choices.names),
        choices=choices,
        allowed=_allowed(forecast, endpoints, stage),
        delay_s=delay,
        reload=reload,
        instance_tolerance_s=tolerance_s[on_server],
        server_ceiling_w=forecast.ceiling_w,
        demand_tokens_per_s=np.zeros(len(endpoints), dtype=np.int64),
        preferred_loss_permille=_preferred_loss(forecast, endpoints),
        budgets=budget_numbers(topology, forecast.effect, ("now",), *draw, forecast.present_margins),
        reload_limit=max(0, max(1, int(RELOADS_AT_ONCE_FRAC * len(instances))) - _loading(forecast, instances)),
        opaque=frozenset(name for name, placed in fleet.vms.items() if not placed.vm.may_be_slowed),
    )
    problem = replace(problem, demand_tokens_per_s=_demand(forecast, problem))
    if not slowed:
        return problem
    on_server = np.array([fleet.server_number(placed.server) for placed in slowed], dtype=np.int64)
    whole = forecast.drawn_now if stage is Stage.NOW else forecast.coming_draw(frozenset())
    own = _own_draw(whole, draw, on_server)
    added = capped(forecast, slowed, own, actuation, (choices, delay, reload))
    return _with_slowed(problem, slowed, on_server, added, tolerance_s[on_server])


def _demand(forecast: Forecast, problem: ReconfigurationProblem) -> IntArray:
    """``[endpoint]`` tokens/s to be ready for: what may be asked for, as far as instances carry it as they are.

    Beyond what they carry in full quality with the weights that they have loaded, what will be asked for counts:
    answers get no worse, and nothing is loaded anew, for the sake of what nobody may ask.
    """
    coming = np.array([forecast.coming_demand_tokens_per_s(name) for name in problem.endpoints]).reshape(-1, 2)
    will, may = coming.T
    looks = looks_of(problem)
    asked = of_instances(problem, looks.first)
    parked = asked.current == asked.choices.parked
    ready = asked.eligible() & (parked[:, None] | ~asked.reload[asked.current])
    ready &= (asked.quality_loss_permille() == 0)[asked.instance_endpoint]
    goodput = asked.choices.goodput_tokens_per_s[asked.instance_hardware]
    best = np.where(ready, goodput, 0).max(axis=1, initial=0)
    carried = np.bincount(problem.instance_endpoint, best[looks.of], len(problem.endpoints))
    return np.asarray(np.ceil(np.maximum(will, np.minimum(may / FILL_FRAC, carried))).astype(np.int64))


def _with_slowed(
    problem: ReconfigurationProblem,
    slowed: Sequence[FleetVm],
    on_server: IntArray,
    added: Capped,
    tolerance_s: FloatArray,
) -> ReconfigurationProblem:
    """The same problem with opaque VMs that may be slowed, as instances of an endpoint that asks for nothing."""
    endpoint, clocks = len(problem.endpoints), len(added.choices.names) - len(problem.choices.names)
    allowed = np.pad(problem.allowed, ((0, 1), (0, clocks)))
    allowed[endpoint, -clocks:] = True
    assert problem.preferred_loss_permille is not None
    return replace(
        problem,
        instances=(*problem.instances, *(placed.vm.name for placed in slowed)),
        endpoints=(*problem.endpoints, _unused(SLOWED, problem.endpoints)),
        instance_server=np.append(problem.instance_server, on_server),
        instance_endpoint=np.append(problem.instance_endpoint, np.full(len(slowed), endpoint)),
        instance_hardware=np.append(problem.instance_hardware, added.row),
        current=np.append(problem.current, added.current),
        choices=added.choices,
        allowed=allowed,
        delay_s=added.delay_s,
        reload=added.reload,
        instance_tolerance_s=np.append(problem.instance_tolerance_s, tolerance_s),
        demand_tokens_per_s=np.append(problem.demand_tokens_per_s, 0),
        preferred_loss_permille=np.append(problem.preferred_loss_permille, 0),
    )


def _own_draw(
    whole: tuple[FloatArray, FloatArray], idle: tuple[FloatArray, FloatArray], on_server: IntArray
) -> tuple[FloatArray, FloatArray]:
    """``[vm]`` watts and CFM by which the base falls when each is left out of it."""
    sharing = np.bincount(on_server, minlength=len(whole[0]))[on_server]
    power, airflow = ((w - i)[on_server, 0] / sharing for w, i in zip(whole, idle, strict=True))
    return power, airflow


def _unused(name: str, names: Sequence[str]) -> str:
    while name in names:
        name += "-"
    return name


@lru_cache(maxsize=4)
def _tables(actuation: Actuation, profiles: Profiles) -> tuple[FloatArray, NDArray[np.bool_]]:
    return actuation.tables(profiles.options)


def _choices(forecast: Forecast) -> Choices:
    """What instances may be; only what that draws changes with the weather."""
    hardware = forecast.fleet.topology.hardware
    idle_w = tuple(forecast.idle_gpu_power_w(name) for name in hardware)
    profiled, mean_w = _as_profiled(forecast.profiles, hardware, idle_w)
    draws = [
        forecast.further_draw(name, watts, forecast.mean_inlet_c(name))
        for name, watts in zip(hardware, mean_w, strict=True)
    ]
    power, airflow = (np.stack(values) for values in zip(*draws, strict=True))
    return replace(profiled, power_w=power, airflow_cfm=airflow)


@lru_cache(maxsize=16)
def _as_profiled(
    profiles: Profiles, hardware: tuple[str, ...], idle_w: tuple[float, ...]
) -> tuple[Choices, FloatArray]:
    """Choices that draw nothing yet, and ``[hardware, choice]`` mean power of their GPUs; idle where nothing runs."""
    options = profiles.options
    shape = (len(hardware), len(options))
    mean_w = np.repeat(np.array(idle_w)[:, None], len(options), axis=1)
    gpu_power, goodput, runs_on = (
        np.ceil(mean_w).astype(np.int64),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, bool),
    )
    for (h, c), (name, option) in zip(np.ndindex(shape), product(hardware, options), strict=True):
        profile = None if option.configuration is None else profiles.get(option.configuration.name, name)
        runs_on[h, c] = option.profile is None or profile is not None
        if profile is not None:
            level = LOAD_LEVELS.index(option.level)
            goodput[h, c] = int(profile.goodput_tokens_per_s * option.level)
            gpu_power[h, c] = int(np.ceil(profile.hottest_gpu_power_w[level]))
            mean_w[h, c] = profile.gpu_power_w[level]
    loss = [0 if option.profile is None else _loss_permille(option.profile.quality) for option in options]
    choices = Choices(
        names=tuple(option.name for option in options),
        configuration=tuple(option.configuration.name if option.configuration else None for option in options),
        level=np.array([option.level for option in options]),
        runs_on=runs_on,
        goodput_tokens_per_s=goodput,
        power_w=np.zeros(shape, dtype=np.int64),
        airflow_cfm=np.zeros(shape, dtype=np.int64),
        gpu_power_w=gpu_power,
        quality_loss_permille=np.array(loss, dtype=np.int64),
    )
    return choices, mean_w


def _loading(forecast: Forecast, instances: Sequence[FleetVm]) -> int:
    """How many load weights already: so many fewer may begin."""
    topology = forecast.fleet.topology
    servers = [forecast.fleet.server_number(placed.server) for placed in instances]
    on = [topology.hardware[topology.server_hardware[s]] for s in servers]
    return sum(is_loading(forecast, placed, hardware) for placed, hardware in zip(instances, on, strict=True))


def _loss_permille(quality: float) -> int:
    return int(np.ceil(1000 * (1.0 - quality) - GRID_TOLERANCE))


def _preferred_loss(forecast: Forecast, endpoints: Sequence[str]) -> IntArray:
    """``[endpoint]`` quality missing in the preferred configuration, on whatever hardware it was profiled."""
    quality = {profile.configuration.name: profile.quality for profile in forecast.profiles.all}
    preferred = [quality[forecast.fleet.endpoints[name].configuration] for name in endpoints]
    return np.array([_loss_permille(value) for value in preferred], dtype=np.int64)


def _current(forecast: Forecast, instances: Sequence[FleetVm], hardware: IntArray, choices: Sequence[str]) -> IntArray:
    number = {name: c for c, name in enumerate(choices)}
    names = forecast.fleet.topology.hardware
    chosen = []
    for placed, h in zip(instances, hardware.tolist(), strict=True):
        profile, level = forecast.running(placed, names[h])
        chosen.append(number[PARKED if profile is None else choice_name(profile.configuration.name, level)])
    return np.array(chosen, dtype=np.int64)


def _allowed(forecast: Forecast, endpoints: Sequence[str], stage: Stage) -> NDArray[np.bool_]:
    """``[endpoint, choice]`` good enough for the endpoint, and in time; parked is always allowed.

    While something is failed late answers are better than none.
    """
    rule = good_enough if stage is Stage.NOW or forecast.failures else in_time
    rows = [rule(forecast.fleet.endpoints[name], forecast.profiles) for name in endpoints]
    return np.array(rows, dtype=bool).reshape(len(endpoints), len(forecast.profiles.options))


def _tolerance_s(forecast: Forecast) -> FloatArray:
    """``[server]`` least time for which what is above it bears present power; ``inf`` where nothing is overloaded."""
    topology = forecast.fleet.topology
    loads = budget_numbers(topology, forecast.effect, ("now",), *forecast.drawn_now, {})
    worst = np.full(len(topology.servers), np.inf)
    for family in loads.families:
        borne = _borne_s(topology, family)
        if borne is not None:
            for member in family.member.T:
                worst = np.where(member == NONE, worst, np.minimum(worst, borne[member]))
    return worst


def _borne_s(topology: Topology, family: BudgetFamily) -> FloatArray | None:
    """``[domain]`` how long each bears its present load; None for a family without protection of its own."""
    load_frac = family.base[:, 0] / np.maximum(1, family.limit[:, 0])
    if family.constraint is Constraint.AISLE_AIRFLOW_CAPACITY:
        return np.where(load_frac > 1.0, AISLE_TOLERANCE_S, np.inf)
    curves = protection_curves(topology, family.constraint)
    if curves is None:
        return None
    return np.array([float(curve.tolerance_s(load)) for curve, load in zip(curves, load_frac, strict=True)])


def protection_curves(topology: Topology, constraint: Constraint) -> list[ToleranceCurve] | None:
    """Curves of a family's elements, None where they have none; for a UPS the one on battery, which is the shorter."""
    site = topology.site
    match constraint:
        case Constraint.UPS_POWER_CAPACITY:
            return [ups.on_battery for room in site.rooms for ups in room.upses]
        case Constraint.PDU_POWER_BUDGET:
            return [pdu.breaker for room in site.rooms for pdu in room.pdus]
        case Constraint.ROW_POWER_BUDGET:
            return [row.breaker for row in site.rows()]
        case _:
            return None

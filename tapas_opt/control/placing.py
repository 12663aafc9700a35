"""From a fleet, a forecast and a batch of VMs to a placement problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.failures import SiteFailures
from tapas_opt.budgets.numbers import BudgetNumbers, budget_numbers, joined
from tapas_opt.control.events import ServerState
from tapas_opt.control.fleet import Fleet, FleetVm, VmState
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.parts import any_part, free_gpus, on_parts
from tapas_opt.control.promising import promises
from tapas_opt.control.securing import Batch, Securing, by_units
from tapas_opt.domain.failure import Effect, effect_of
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.domain.workload import Group, SpreadOver, Vm
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.placement.problem import PlacementPrices, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import TogetherIn
from tapas_opt.placement.scenarios.problem import DayLoads, Scenarios

__all__ = ["placement_problem", "scenario_days"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SLOTS_AT_ONCE = 24

ONE_IN = 10
"""Of so many days the worst one counts: CVaR at the level 0.9."""

IDLE = np.zeros((0, 0), dtype=np.int64)
"""What nobody asks for."""


def placement_problem(
    forecast: Forecast,
    vms: Sequence[Vm],
    groups: Sequence[Group] = (),
    *,
    week: bool = False,
    securing: Securing | None = None,
    risk: Literal["quantile", "cvar"] = "quantile",
) -> PlacementProblem:
    """State the placement of ``vms`` on top of what runs, over the 24 hours of the day, each at its worst weekday.

    ``groups`` come with the batch; those that the fleet knows already need not. ``week`` takes all 168 hours of the
    week instead: what peaks on other days then shares a budget. With ``securing`` the plan has to survive failures.
    With the ``risk`` ``cvar`` the six budgets are judged by the worst tenth of recent days.

    Raises
    ------
    InvalidInput
        ``cvar`` together with ``week``, or where fewer than ten days are known.
    """
    if risk == "cvar" and week:
        raise InvalidInput.one("placement", "risk", "cvar looks at days and not at a week: leave week off")
    fleet = forecast.fleet
    topology = fleet.topology
    hours, slots = forecast.hours_of_week() if week else forecast.hours_of_day()
    failures = None if securing is None else securing.failures(topology)
    numbers, by_unit = _budgets(forecast, hours, slots, failures)
    types = _types(forecast, vms)
    examples = [vm for _, vm in types.values()]
    power, airflow, gpu_power, fits = _type_arrays(forecast, examples, hours)
    vm_type = np.array([types[_type_key(forecast, vm)][0] for vm in vms], dtype=np.int64)
    available = _available(forecast, vms)
    survives = None
    if securing is not None:
        batch = Batch(examples, vm_type, available, power, airflow)
        survives = securing.secured(forecast, batch, hours, *by_unit)
        numbers = replace(numbers, families=(*numbers.families, *survives.budgets))
    spread = _groups(fleet, vms, groups)
    group_number = {group.name: g for g, group in enumerate(spread)}
    problem = PlacementProblem(
        vms=tuple(vm.name for vm in vms),
        servers=topology.servers,
        vm_type=vm_type,
        vm_priority=np.array([vm.priority for vm in vms], dtype=np.int64),
        vm_group=np.array([group_number.get(vm.group or "", NONE) for vm in vms], dtype=np.int64),
        type_power_w=power,
        type_airflow_cfm=airflow,
        type_gpu_power_w=gpu_power,
        type_most_gpu_power_w=_most_gpu_power_w(forecast, examples),
        type_fits=fits,
        server_hardware=topology.server_hardware,
        server_available=available,
        server_ceiling_w=_useful_ceiling_w(forecast),
        groups=spread,
        # days have an excess of their own to tolerate, not that of the worst weekday
        budgets=numbers if risk == "cvar" else numbers.tolerating_present_excess(),
        vm_spot=np.array([vm.spot for vm in vms], dtype=bool),
        promises=promises(fleet, vms, _in_service(forecast)),
        survival=None if survives is None else survives.survival,
        scenarios=_scenarios(forecast, examples, slots) if risk == "cvar" else None,
    )
    return on_parts(problem, forecast, examples) if any_part(vms) else problem


def _budgets(
    forecast: Forecast, hours: IntArray, slots: tuple[str, ...], failures: SiteFailures | None
) -> tuple[BudgetNumbers, tuple[IntArray, IntArray]]:
    """The budgets over all slots, and ``[unit, slot]`` what servers that fail alike draw, in W and CFM.

    Some slots at a time are stated: a week of 100,000 servers is many numbers.
    """
    effect, parts = _lasting(forecast), []
    by_unit: list[tuple[IntArray, ...]] = []
    for begin in range(0, len(slots), SLOTS_AT_ONCE):
        some = slice(begin, begin + SLOTS_AT_ONCE)
        draw = forecast.server_draw(hours[some])
        parts.append(budget_numbers(forecast.fleet.topology, effect, slots[some], *draw, forecast.margins))
        if failures is not None:
            by_unit.append(tuple(by_units(np.ceil(amount).astype(np.int64), failures) for amount in draw))
    power, airflow = (np.hstack([each[i] for each in by_unit]) if by_unit else IDLE for i in range(2))
    return joined(parts), (power, airflow)


def scenario_days(models: LearnedModels) -> int:
    """How many scenario days count; raises InvalidInput where there are too few for a worst tenth."""
    known = len(models.load_scenarios(""))
    if known < ONE_IN:
        raise InvalidInput.one("placement", "risk", f"cvar needs {ONE_IN} scenario days; the models know of {known}")
    return known // ONE_IN * ONE_IN


def _scenarios(forecast: Forecast, examples: Sequence[Vm], slots: tuple[str, ...]) -> Scenarios:
    """The newest scenario days, as many as are a multiple of ten, so that the worst tenth are whole days."""
    known = len(forecast.models.load_scenarios(""))
    count = scenario_days(forecast.models)
    by_day, hours = forecast.over_days(), forecast.hours_of_days(count)
    names = tuple(f"{known - count + day} {slot}" for day in range(count) for slot in slots)
    numbers, _ = _budgets(by_day, hours, names, None)
    power, airflow, _, _ = _type_arrays(by_day, examples, hours)
    over = (count, len(slots))
    return Scenarios(
        days=tuple(f"day {known - count + day}" for day in range(count)),
        tail=count // ONE_IN,
        families=tuple(
            DayLoads(f.constraint, f.domains, f.base.reshape(len(f.domains), *over)) for f in numbers.families
        ),
        type_power_w=power.reshape(*power.shape[:2], *over),
        type_airflow_cfm=airflow.reshape(*airflow.shape[:2], *over),
    )


def _lasting(forecast: Forecast) -> Effect:
    """What holds now and after the present failures are over: a VM stays for weeks.

    VMs on dark servers will draw again and a released reserve will be held back again; what has failed is not counted
    on meanwhile. A feed carries the larger of its two shares.
    """
    now, normal = forecast.effect, effect_of(forecast.fleet.topology)

    def lesser(failed: FloatArray, whole: FloatArray) -> FloatArray:
        return np.where(failed > 0, np.minimum(failed, whole), whole)

    return replace(
        now,
        server_dark=normal.server_dark,
        feed_permille=np.maximum(now.feed_permille, normal.feed_permille),
        row_budget_w=lesser(now.row_budget_w, normal.row_budget_w),
        pdu_capacity_w=lesser(now.pdu_capacity_w, normal.pdu_capacity_w),
        ups_capacity_w=lesser(now.ups_capacity_w, normal.ups_capacity_w),
        aisle_airflow_capacity_cfm=lesser(now.aisle_airflow_capacity_cfm, normal.aisle_airflow_capacity_cfm),
        aisle_heat_capacity_w=lesser(now.aisle_heat_capacity_w, normal.aisle_heat_capacity_w),
    )


TypeKey = tuple[str, str, str | None, tuple[str, ...], str | None, int | None, bool, bool]
"""VMs of one kind with the same load template, configuration and GPU models are predicted alike, and relieved alike if
they are spot or agreed to be slowed; one whose own load is known from before is a type of its own."""


def _type_key(forecast: Forecast, vm: Vm) -> TypeKey:
    own = vm.name if forecast.models.has_own_load(vm.template, vm.name) else None
    return vm.kind, vm.template, vm.configuration, vm.gpu_models, own, vm.gpus, vm.spot, vm.capping_agreed


def _types(forecast: Forecast, vms: Sequence[Vm]) -> dict[TypeKey, tuple[int, Vm]]:
    """Number of each type and a VM that stands for it."""
    types: dict[TypeKey, tuple[int, Vm]] = {}
    for vm in vms:
        types.setdefault(_type_key(forecast, vm), (len(types), vm))
    return types


def _type_arrays(
    forecast: Forecast, examples: Sequence[Vm], hours: IntArray
) -> tuple[IntArray, IntArray, IntArray, BoolArray]:
    """``[type, hardware, …]`` further watts and CFM by slot, peak power of the hottest GPU, and whether it fits."""
    topology = forecast.fleet.topology
    shape = (len(examples), len(topology.hardware))
    power, airflow = (np.zeros((*shape, len(hours)), dtype=np.int64) for _ in range(2))
    gpu_power, fits = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    for h, hardware in enumerate(topology.hardware):
        inlet_c = forecast.mean_inlet_c(hardware)
        for w, vm in enumerate(examples):
            fits[w, h] = _fits(forecast, vm, hardware)
            if fits[w, h]:
                gpu_w = forecast.gpu_power_w(FleetVm(vm, "", VmState.RESERVED), hardware, hours)
                if vm.gpus is None:
                    power[w, h], airflow[w, h] = forecast.further_draw(hardware, gpu_w, inlet_c)
                else:
                    part = forecast.gpus_frac(vm, hardware)
                    power[w, h], airflow[w, h] = forecast.further_draw_of_part(hardware, gpu_w, inlet_c, part)
                gpu_power[w, h] = int(np.ceil(forecast.peak_gpu_power_w(vm, hardware)))
    return power, airflow, gpu_power, fits


def _most_gpu_power_w(forecast: Forecast, examples: Sequence[Vm]) -> IntArray:
    """``[type, hardware]`` what the hottest GPU may come to draw."""
    hardware = forecast.fleet.topology.hardware
    most = [[int(np.ceil(forecast.most_gpu_power_w(vm, name))) for name in hardware] for vm in examples]
    return np.array(most, dtype=np.int64).reshape(len(examples), len(hardware))


def _fits(forecast: Forecast, vm: Vm, hardware: str) -> bool:
    item = forecast.fleet.topology.site.hardware[hardware]
    if (vm.gpu_models and item.gpu_model not in vm.gpu_models) or item.gpus % (vm.gpus or 1):
        return False
    return vm.endpoint is None or forecast.starting_profile(vm, hardware) is not None


def _useful_ceiling_w(forecast: Forecast) -> IntArray:
    """``[server]`` ceilings; beyond its comfort, what no GPU can draw is of no use to anybody."""
    hardware = [forecast.fleet.topology.site.hardware[name] for name in forecast.fleet.topology.hardware]
    most = np.array([int(item.gpu_max_power_w) for item in hardware])[forecast.fleet.topology.server_hardware]
    return np.asarray(np.minimum(forecast.ceiling_w, most + PlacementPrices().comfort_w))


def _available(forecast: Forecast, vms: Sequence[Vm]) -> BoolArray:
    """``[server]`` in service, with power, and without a VM, or with some GPUs that parts may take."""
    if any_part(vms):
        free = free_gpus(forecast.fleet).any(axis=1)
    else:
        free = np.array([not on for on in forecast.fleet.occupants()])
    return np.asarray(_in_service(forecast) & free)


def _in_service(forecast: Forecast) -> BoolArray:
    """``[server]`` may get VMs, and has power."""
    states = forecast.fleet.server_states
    in_service = [
        states.get(name, ServerState.IN_SERVICE) is ServerState.IN_SERVICE for name in forecast.fleet.topology.servers
    ]
    return np.array(in_service) & ~forecast.effect.server_dark


def _groups(fleet: Fleet, vms: Sequence[Vm], groups: Sequence[Group]) -> tuple[SpreadGroup, ...]:
    known = fleet.groups | {group.name: group for group in groups}
    names = sorted({vm.group for vm in vms if vm.group is not None})
    return tuple(_spread_group(fleet, known[name]) for name in names)


def _spread_group(fleet: Fleet, group: Group) -> SpreadGroup:
    place_of, places = _places(fleet.topology, group.spread_over)
    members = [fleet.server_number(p.server) for p in fleet.vms.values() if p.vm.group == group.name]
    return SpreadGroup(
        name=group.name,
        places=places,
        place_of=place_of,
        max_per_place=group.max_per_place if group.spread_over else len(fleet.topology.servers),
        present=np.bincount(place_of[members], minlength=len(places)).astype(np.int64),
        all_or_nothing=group.all_or_nothing,
        together=None if group.together_over is None else _together(fleet, group.together_over, members),
    )


def _together(fleet: Fleet, over: SpreadOver, members: list[int]) -> TogetherIn:
    place_of, places = _places(fleet.topology, over)
    return TogetherIn(places, place_of, np.bincount(place_of[members], minlength=len(places)).astype(np.int64))


def _places(topology: Topology, over: SpreadOver | None) -> tuple[IntArray, tuple[str, ...]]:
    match over:
        case SpreadOver.RACK:
            return topology.server_rack, topology.racks
        case SpreadOver.ROW:
            return topology.server_row, topology.rows
        case SpreadOver.AISLE:
            return topology.server_aisle, topology.aisles
        case SpreadOver.UPS_PAIR:
            return topology.server_ups_pair()
        case SpreadOver.ROOM:
            return topology.server_room, topology.rooms
        case None:
            return np.zeros(len(topology.servers), dtype=np.int64), ("anywhere",)

"""Placement: a batch of new VMs onto the free servers of a site where others already run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, classes_of
from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Constraint

__all__ = [
    "PlacementClasses",
    "PlacementPlan",
    "PlacementPrices",
    "PlacementProblem",
    "SpreadGroup",
    "placement_classes",
]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpreadGroup:
    """VMs that must not all die together.

    Attributes
    ----------
    places, place_of
        Names of the racks, rows, aisles or UPS pairs, and ``[server]`` which one each server is in; without
        ``spread`` there is one place, which holds any number.
    max_per_place, present
        At most so many members in one place; ``[place]`` how many run there already.
    """

    name: str
    places: tuple[str, ...]
    place_of: IntArray
    max_per_place: int
    present: IntArray
    all_or_nothing: bool


@dataclass(frozen=True, slots=True)
class PlacementPrices:
    """Cost units per hour; whole numbers, so that every solver sees the same objective.

    Attributes
    ----------
    unplaced_vm
        Of one VM of priority 1 that gets no server.
    peak_permille
        Of each thousandth by which the highest utilisation of a family's domains rises above today's.
    lost_slack_w
        Of each watt by which a VM's hottest GPU intrudes into the ``comfort_w`` below its server's ceiling.
    """

    unplaced_vm: int = 20_000
    peak_permille: Mapping[Constraint, int] = field(
        default_factory=lambda: {
            Constraint.ROW_POWER_BUDGET: 10,
            Constraint.UPS_POWER_CAPACITY: 10,
            Constraint.AISLE_AIRFLOW_CAPACITY: 10,
        }
    )
    lost_slack_w: int = 1
    comfort_w: int = 50


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Everything that placement knows, as whole numbers.

    Attributes
    ----------
    vm_type, vm_priority, vm_group
        ``[vm]`` row of the type arrays, priority 1 to 10, index into ``groups`` or :data:`NONE`.
    type_power_w, type_airflow_cfm
        ``[type, hardware, slot]`` what a VM makes its server draw beyond the idle draw that is in the base.
    type_gpu_power_w
        ``[type, hardware]`` predicted peak power of its hottest GPU.
    type_fits
        ``[type, hardware]`` whether the hardware is what it asked for.
    server_hardware, server_available, server_ceiling_w
        ``[server]`` hardware index, free and in service, and the highest GPU power that keeps every GPU below its
        temperature limits.
    budgets
        In which existing excess is tolerated but may not grow.
    """

    vms: tuple[str, ...]
    servers: tuple[str, ...]
    vm_type: IntArray
    vm_priority: IntArray
    vm_group: IntArray
    type_power_w: IntArray
    type_airflow_cfm: IntArray
    type_gpu_power_w: IntArray
    type_fits: BoolArray
    server_hardware: IntArray
    server_available: BoolArray
    server_ceiling_w: IntArray
    groups: tuple[SpreadGroup, ...]
    budgets: BudgetNumbers
    prices: PlacementPrices = field(default_factory=PlacementPrices)

    def eligible(self) -> BoolArray:
        """``[type, server]``: free, the right hardware, and cool enough (``gpu_temperature_limit``)."""
        fits = self.type_fits[:, self.server_hardware] & self.server_available
        return np.asarray(fits & (self.type_gpu_power_w[:, self.server_hardware] <= self.server_ceiling_w))

    def lost_slack_w(self) -> IntArray:
        """``[type, server]`` watts by which the hottest GPU intrudes into the comfort below the ceiling."""
        peak = self.type_gpu_power_w[:, self.server_hardware]
        return np.asarray(np.maximum(0, peak + self.prices.comfort_w - self.server_ceiling_w))


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """Server of each placed VM, and the VMs that got none."""

    server_of: Mapping[str, str]
    unplaced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementClasses:
    """Interchangeable VMs (same type, priority, group) and interchangeable free servers.

    ``budgets`` forgets domains that this batch cannot fill, so that more servers are alike.
    """

    vms: Classes
    servers: Classes
    budgets: BudgetNumbers


def placement_classes(problem: PlacementProblem) -> PlacementClasses:
    """Group what is interchangeable; servers that are not available stay in classes that no VM is eligible for."""
    most_power, most_airflow = _most_draw(problem)
    budgets = problem.budgets.without_slack_domains(most_power, most_airflow)
    everyone = np.arange(len(problem.servers))
    available = problem.server_available.astype(np.int64)
    alike = [problem.server_hardware, available, problem.server_ceiling_w]
    alike += [group.place_of for group in problem.groups]
    vm_keys = np.stack([problem.vm_type, problem.vm_priority, problem.vm_group], axis=1)
    nothing = BudgetNumbers(budgets.slots, ())
    return PlacementClasses(
        vms=classes_of(nothing, np.arange(len(problem.vms)), vm_keys),
        servers=classes_of(budgets, everyone, *alike),
        budgets=budgets,
    )


def _most_draw(problem: PlacementProblem) -> tuple[IntArray, IntArray]:
    """``[server, slot]`` the most that any type could make each available server draw."""
    free = problem.server_available[:, None]
    asked = np.unique(problem.vm_type)
    power = problem.type_power_w[asked].max(axis=0, initial=0)[problem.server_hardware] * free
    airflow = problem.type_airflow_cfm[asked].max(axis=0, initial=0)[problem.server_hardware] * free
    return power, airflow

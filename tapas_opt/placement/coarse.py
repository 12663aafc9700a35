"""Problems of which less is said, and one with fewer servers: bounds of the whole, and plans on the way to its own.

What is left out are constraints, and terms of the objective, none of which is below 0: no plan of the whole costs less.
What servers differ in then is little, so that many are alike: there are some dozen kinds, however large a room.

- :func:`by_temperature` keeps what VMs and servers are by themselves: GPUs, ceilings, their prices.
- :func:`by_failures` keeps the failures that are dearest. There is little else to be balanced in small batches, and
  with a few kinds of servers each exchange of VMs is tried often, which it is not among hundreds of servers.

:func:`among_best` leaves out no constraint but most servers: of those that are as good as each other a batch needs few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.greedy import relief_of
from tapas_opt.placement.survival.problem import Secured, Survival

__all__ = ["Going", "among_best", "by_failures", "by_temperature", "going"]

IntArray = NDArray[np.int64]

CHOICES = 4
"""Servers for each VM of the batch, the best for its type."""

TOO_HOT_W = -1
"""No VM may go to a server with this ceiling."""


@dataclass(frozen=True, slots=True)
class Going:
    """How many VMs of each kind a plan puts on each kind of server.

    Attributes
    ----------
    vm_kind, server_kind
        ``[vm]``, and ``[server]``, :data:`NONE` where it is not available.
    most
        ``[vm kind, server kind]``.
    peak_increase
        Nothing is said of peaks.
    """

    vm_kind: IntArray
    server_kind: IntArray
    most: IntArray
    peak_increase: Mapping[Constraint, int] = field(default_factory=dict)


def by_temperature(problem: PlacementProblem) -> PlacementProblem:
    """The same without domains, groups, promises and failures."""
    return replace(
        problem,
        vm_group=np.full(len(problem.vms), NONE),
        groups=(),
        budgets=replace(problem.budgets, families=()),
        promises=None,
        survival=None,
        scenarios=None,
    )


def by_failures(problem: PlacementProblem, plan: PlacementPlan) -> PlacementProblem | None:
    """The same with the failures only that are the dearest of their rooms under a plan; None if it makes none dearer.

    A VM that finds no server costs what the cheapest one does, a server is as warm as makes no difference to where VMs
    may go, and temperature has no price.
    """
    parts = _dearest(problem, plan)
    if problem.survival is None or not parts:
        return None
    return replace(
        by_temperature(problem),
        vm_priority=np.full(len(problem.vms), problem.vm_priority.min()),
        vm_spot=None if problem.vm_spot is None else np.full(len(problem.vms), problem.vm_spot.any()),
        server_ceiling_w=_thresholds(problem),
        prices=replace(problem.prices, lost_slack_w=0, spare_ceiling_10w=0),
        survival=Survival(problem.survival.rooms, parts, problem.survival.present_cost),
    )


def among_best(problem: PlacementProblem, plan: PlacementPlan, *, seed: int = 0) -> PlacementProblem:
    """The same, but for most servers no ceiling is low enough: each type has its best ones, and those of a plan.

    Best are those where temperature costs least, drawn at random where it costs the same. All other servers are still
    there, and free, for what is promised and kept back.
    """
    random = np.random.default_rng(seed).random(len(problem.servers))
    kept = np.zeros(len(problem.servers), dtype=bool)
    cost, eligible = problem.temperature_cost(), problem.eligible()
    for kind, count in zip(*np.unique(problem.vm_type, return_counts=True), strict=True):
        there = np.flatnonzero(eligible[kind])
        kept[there[np.lexsort((random[there], cost[kind, there]))[: CHOICES * count]]] = True
    used = set(plan.server_of.values())
    kept[[s for s, name in enumerate(problem.servers) if name in used]] = True
    return replace(problem, server_ceiling_w=np.where(kept, problem.server_ceiling_w, TOO_HOT_W))


def going(problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan) -> Going:
    """Where a plan's VMs go, by the classes of a problem of which less is said."""
    number = {name: s for s, name in enumerate(problem.servers)}
    most = np.zeros((classes.vms.count, classes.servers.count), dtype=np.int64)
    for v, vm in enumerate(problem.vms):
        if vm in plan.server_of:
            most[classes.vms.of[v], classes.servers.of[number[plan.server_of[vm]]]] += 1
    return Going(classes.vms.of, np.where(problem.server_available, classes.servers.of, NONE), most)


def _dearest(problem: PlacementProblem, plan: PlacementPlan) -> tuple[Secured, ...]:
    """The parts (power, heat and air have their own) in which the dearest failures of rooms lie that a plan raises."""
    survival = problem.survival
    if survival is None:
        return ()
    worst = np.zeros((len(survival.parts), len(survival.rooms)), dtype=np.int64)
    for p, part in enumerate(survival.parts):
        relief, _ = relief_of(problem, plan, part)
        np.maximum.at(worst[p], part.scenario_room, part.relief_cost(relief).max(axis=1, initial=0))
    highest = worst.max(axis=0, initial=0)
    dearest = ((worst == highest) & (highest > survival.present_cost)).any(axis=1)
    return tuple(part for part, is_dearest in zip(survival.parts, dearest.tolist(), strict=True) if is_dearest)


def _thresholds(problem: PlacementProblem) -> IntArray:
    """``[server]`` the most GPU power of a type asked for that its ceiling allows: as good as the ceiling itself."""
    asked = np.unique(problem.vm_type)
    ceiling = np.zeros(len(problem.servers), dtype=np.int64)
    for hardware in np.unique(problem.server_hardware):
        on = problem.server_hardware == hardware
        power = np.sort(problem.type_gpu_power_w[asked, hardware])
        number = np.searchsorted(power, problem.server_ceiling_w[on], side="right")
        ceiling[on] = np.append(power, power[:1] - 1)[number - 1]
    return ceiling

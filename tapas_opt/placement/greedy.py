"""Placement one VM after the other, each where it raises the objective least: the answer while solvers still work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.guide import Advice
from tapas_opt.placement.naming import named
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.placement.survival.greedy import with_relief

if TYPE_CHECKING:
    from tapas_opt.placement.filling import Filling

__all__ = ["bounded", "greedy", "warm_up"]

IntArray = NDArray[np.int64]


def greedy(problem: PlacementProblem, shares: Advice | None = None, *, until: float = math.inf) -> PlacementPlan:
    """Place VMs by priority, the hardest first; ties go where most headroom is left.

    A VM stays unplaced where no server may take it, or where taking it costs more than leaving it. A group that must
    be placed as a whole is taken back when one of its VMs finds no server.

    Parameters
    ----------
    shares
        Which kind of server each kind of VM should go to, where one of them has room
        (:mod:`tapas_opt.placement.aggregate`, :mod:`tapas_opt.placement.coarse`).
    until
        A `time.perf_counter` after which peaks are evened out no further.
    """
    return _placed(problem, shares, until)[0]


def bounded(problem: PlacementProblem) -> tuple[PlacementPlan, float]:
    """As :func:`greedy`, and what no plan costs less than: every VM on the cheapest server that it could have alone."""
    plan, site = _placed(problem, None, math.inf)
    none = np.iinfo(np.int64).max
    alone = np.where(site.eligible, site.cost, none).min(axis=1, initial=none)[problem.vm_type]
    return plan, float(np.minimum(alone, problem.unplaced_price(np.arange(len(problem.vms)))).sum())


def _placed(problem: PlacementProblem, shares: Advice | None, until: float) -> tuple[PlacementPlan, Filling]:
    from tapas_opt.placement.filling import Filling  # noqa: PLC0415  compiled loops take long to import

    classes = placement_classes(problem)
    site = Filling.of(problem, classes)
    if shares is not None:
        site.follow(shares, classes)
    worth = problem.unplaced_price(np.arange(len(problem.vms)))
    for together in _in_order(problem, worth, site.eligible @ classes.servers.size):
        _place_together(site, int(worth[together].sum()), together)
    failures = problem.survival is not None and problem.survival.parts
    bound_by_others = problem.promises is not None or failures or problem.scenarios is not None
    if shares is not None and not bound_by_others:
        site.even_out(problem, shares, classes, until)
    return with_relief(problem, named(problem, classes, sorted(site.class_of.items()))), site


def _in_order(problem: PlacementProblem, worth: IntArray, eligible: IntArray) -> Iterator[list[int]]:
    """VMs by what they cost unplaced, then those whose type has fewer ``eligible`` servers, then those that draw more.

    VMs of an all-or-nothing group come together, in the place of their first.
    """
    power = problem.type_power_w.max(axis=(1, 2), initial=0)[problem.vm_type]
    order = np.lexsort((-power, eligible[problem.vm_type], -worth))
    group_of = problem.vm_group[order]
    done: set[int] = set()
    for v, group in zip(order.tolist(), group_of.tolist(), strict=True):
        if group == NONE or not problem.groups[group].all_or_nothing:
            yield [v]
        elif group not in done:
            done.add(group)
            yield order[group_of == group].tolist()


def _place_together(site: Filling, worth: int, vms: list[int]) -> None:
    """Place all of ``vms`` or, if one finds no server or they cost more than they are worth, none."""
    present = site.increase.copy()
    taken: list[int] = []
    for v in vms:
        k, price = site.best_class(v)
        worth -= price
        if k == NONE or worth < 0:
            break
        site.take(v, k)
        taken.append(v)
    if len(taken) < len(vms):
        for v in taken:
            site.give_back(v)
        site.increase[:] = present


def warm_up() -> None:
    """Compile what the greedy path, the classes and trading need, or load what was compiled before."""
    from tapas_opt.budgets import kernels as of_budgets  # noqa: PLC0415  compiled loops take long to import
    from tapas_opt.placement import (  # noqa: PLC0415
        filling,  # noqa: F401  loaded here, and not with the first batch
        kernels,
        trading_kernels,
    )
    from tapas_opt.placement.survival import kernels as of_survival  # noqa: PLC0415
    from tapas_opt.placement.survival import slot_kernels as of_slots  # noqa: PLC0415

    of_budgets.warm_up()
    kernels.warm_up()
    trading_kernels.warm_up()
    of_survival.warm_up()
    of_slots.warm_up()

"""Placement over the rows that matter: few of 168 slots bind, and few failures.

A model over some of the rows has every plan of the whole one among its own, none dearer: its bound is a bound of the
whole. So begin with the tightest slot of each domain and of each failure, and add what the plan it leads to breaks, or
makes dearer than it knew, until that is nothing (cutting planes; Dantzig, Fulkerson and Johnson 1954).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import Peak, PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.greedy import declaring, relief_of
from tapas_opt.placement.survival.problem import Secured

__all__ = ["Rows", "completed", "first_rows", "more_rows", "thinned"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows are stated.

    Attributes
    ----------
    budgets, peaks
        Per family of the classes' budgets, and per peak, ``[domain, slot]``.
    survival
        Per part ``[failure, slot]``.
    tails
        Per family judged by days ``[domain, slot]``: the row of the worst days and those of all days.
    """

    budgets: tuple[BoolArray, ...]
    peaks: tuple[BoolArray, ...]
    survival: tuple[BoolArray, ...]
    tails: tuple[BoolArray, ...]

    @property
    def count(self) -> int:
        """How many rows, those of a failure, or of all days, counted as one a slot."""
        return int(sum(kept.sum() for kept in (*self.budgets, *self.peaks, *self.survival, *self.tails)))

    def joined(self, other: Rows) -> Rows:
        """The rows of both."""
        return Rows(
            tuple(a | b for a, b in zip(self.budgets, other.budgets, strict=True)),
            tuple(a | b for a, b in zip(self.peaks, other.peaks, strict=True)),
            tuple(a | b for a, b in zip(self.survival, other.survival, strict=True)),
            tuple(a | b for a, b in zip(self.tails, other.tails, strict=True)),
        )


def first_rows(problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan) -> Rows:
    """The slot of each domain and of each failure in which a plan is nearest to its limits, or is dearest."""
    placed = _Placed.of(problem, plan)
    return Rows(
        tuple(_tightest(f.needs_row, placed.drawn(f) - PERMILLE * f.room) for f in classes.budgets.families),
        tuple(_tightest(peak.can_rise, _steps(peak, placed)) for peak in classes.peaks),
        tuple(_tightest(part.stated, _need(part, placed)) for part in _parts(problem)),
        tuple(_tightest(tail.can_bind, tail.excess(placed.drawn_by_day(tail.family))) for tail in classes.tails),
    )


def thinned(
    problem: PlacementProblem, classes: PlacementClasses, rows: Rows
) -> tuple[PlacementProblem, PlacementClasses]:
    """The same problem and classes with these rows only."""
    families = tuple(
        replace(family, can_bind=family.needs_row & kept)
        for family, kept in zip(classes.budgets.families, rows.budgets, strict=True)
    )
    peaks = tuple(
        replace(peak, can_rise=peak.can_rise & kept) for peak, kept in zip(classes.peaks, rows.peaks, strict=True)
    )
    tails = tuple(
        replace(tail, can_bind=tail.can_bind & kept) for tail, kept in zip(classes.tails, rows.tails, strict=True)
    )
    thin = replace(classes, budgets=replace(classes.budgets, families=families), peaks=peaks, tails=tails)
    if problem.survival is None:
        return problem, thin
    parts = tuple(
        replace(part, family=replace(part.family, can_bind=part.family.needs_row & kept[part.scenario]))
        for part, kept in zip(problem.survival.parts, rows.survival, strict=True)
    )
    return replace(problem, survival=replace(problem.survival, parts=parts)), thin


def completed(problem: PlacementProblem, rows: Rows, plan: PlacementPlan) -> PlacementPlan:
    """A plan over some of the rows with the relief and the shortfall that all failures and slots ask of it.

    What it declares where rows are stated is kept, if that is no dearer than relief chosen cheapest first.
    """
    placed = _Placed.of(problem, plan)
    amounts = [
        _combined(problem, part, kept, placed) for part, kept in zip(_parts(problem), rows.survival, strict=True)
    ]
    return declaring(problem, plan, amounts)


def more_rows(problem: PlacementProblem, classes: PlacementClasses, rows: Rows, plan: PlacementPlan) -> Rows:
    """Of each domain the row that a plan breaks most, or that makes it dearer than the stated rows say.

    Where the plan is within all rows and costs what the stated ones say, there are none: ``count`` is 0.
    """
    placed = _Placed.of(problem, plan)
    budgets, peaks, survival, tails = [], [], [], []
    for family, kept in zip(classes.budgets.families, rows.budgets, strict=True):
        over = placed.drawn(family) - PERMILLE * family.room
        budgets.append(_tightest(family.needs_row & ~kept & (over > 0), over))
    for peak, kept in zip(classes.peaks, rows.peaks, strict=True):
        steps = _steps(peak, placed)
        known = max(0, int(steps.max(where=kept & peak.can_rise, initial=0)))
        peaks.append(_tightest(peak.can_rise & ~kept & (steps > known), steps))
    for part, kept in zip(_parts(problem), rows.survival, strict=True):
        survival.append(_dearer(problem, part, kept, placed))
    for tail, kept in zip(classes.tails, rows.tails, strict=True):
        over = tail.excess(placed.drawn_by_day(tail.family))
        tails.append(_tightest(tail.can_bind & ~kept & (over > 0), over))
    return Rows(tuple(budgets), tuple(peaks), tuple(survival), tuple(tails))


def _parts(problem: PlacementProblem) -> tuple[Secured, ...]:
    return () if problem.survival is None else problem.survival.parts


def _tightest(candidates: BoolArray, tightness: IntArray) -> BoolArray:
    """``[item, slot]`` the candidate of each item whose tightness is highest."""
    kept = np.zeros_like(candidates)
    if candidates.size:
        slot = np.where(candidates, tightness, np.iinfo(np.int64).min).argmax(axis=1)
        kept[np.arange(len(slot)), slot] = True
    return kept & candidates


def _steps(peak: Peak, placed: _Placed) -> IntArray:
    """``[domain, slot]`` steps above the present peak, negative below."""
    over = placed.drawn(peak.family) - PERMILLE * peak.room
    return np.asarray(-(-over // (PERMILLE * peak.step)))


def _need(part: Secured, placed: _Placed) -> IntArray:
    """``[failure, slot]`` thousandths that have to be relieved, over all pairs."""
    need = placed.drawn(part.family, part.kind) + PERMILLE * (part.family.base - part.tolerated)
    total = np.zeros(part.stated.shape, dtype=np.int64)
    np.add.at(total, part.scenario, np.where(part.family.needs_row, np.maximum(0, need), 0))
    return total


def _combined(problem: PlacementProblem, part: Secured, kept: BoolArray, placed: _Placed) -> tuple[IntArray, IntArray]:
    """Relief ``[group, tier, slot]`` and shortfall ``[pair]``."""
    relief, _ = relief_of(problem, placed.plan, part)
    own = _declared(problem, part, placed.plan)
    cheaper = kept & (part.relief_cost(own) < part.relief_cost(relief))
    relief = np.where(cheaper[part.group_scenario][:, None], own, relief)
    missing = _missing(part, placed, relief).max(axis=1, initial=0)
    return relief, np.asarray(-(-missing // PERMILLE))


def _declared(problem: PlacementProblem, part: Secured, plan: PlacementPlan) -> IntArray:
    """``[group, tier, slot]`` what a plan declares."""
    group, tier, slot = (
        {name: i for i, name in enumerate(names)} for names in (part.groups, part.tiers, problem.budgets.slots)
    )
    amount = np.zeros_like(part.available)
    for (g, j, t), units in plan.relief.items():
        if g in group:
            amount[group[g], tier[j], slot[t]] = units
    return amount


def _missing(part: Secured, placed: _Placed, relief: IntArray) -> IntArray:
    """``[pair, slot]`` thousandths by which a pair stays above what is tolerated."""
    need = placed.drawn(part.family, part.kind) + PERMILLE * (part.family.base - part.tolerated)
    left = need - part.relieved_permille(relief.sum(axis=1))
    return np.asarray(np.maximum(0, np.where(part.family.needs_row, left, 0)))


def _dearer(problem: PlacementProblem, part: Secured, kept: BoolArray, placed: _Placed) -> BoolArray:
    """``[failure, slot]`` where relief costs more than in the dearest stated slot of the room, or falls short."""
    if problem.survival is None:
        return np.zeros_like(kept)
    relief, _ = relief_of(problem, placed.plan, part)
    cost = part.relief_cost(relief)
    known = problem.survival.present_cost.copy()
    np.maximum.at(known, part.scenario_room, cost.max(axis=1, where=kept, initial=0))
    short = np.zeros(kept.shape, dtype=np.int64)
    np.maximum.at(short, part.scenario, _missing(part, placed, relief))
    unknown = np.maximum(0, short - short.max(axis=1, where=kept, initial=0)[:, None])
    worse = (cost > known[part.scenario_room, None]) | (unknown > 0)
    return _tightest(part.stated & ~kept & worse, cost + unknown)


@dataclass(frozen=True, slots=True)
class _Placed:
    """What a plan puts where: VMs counted by server and by kind, which is type and hardware."""

    problem: PlacementProblem
    plan: PlacementPlan
    server: IntArray
    kind: IntArray

    @classmethod
    def of(cls, problem: PlacementProblem, plan: PlacementPlan) -> _Placed:
        vm = {name: v for v, name in enumerate(problem.vms)}
        number = {name: s for s, name in enumerate(problem.servers)}
        server = np.array([number[name] for name in plan.server_of.values()], dtype=np.int64)
        kinds = problem.type_fits.shape[1]
        kind = problem.vm_type[[vm[name] for name in plan.server_of]] * kinds + problem.server_hardware[server]
        return cls(problem, plan, server, kind)

    def drawn(self, family: BudgetFamily, look: IntArray | None = None) -> IntArray:
        """``[domain, slot]`` thousandths drawn by placed VMs; ``look`` is ``[server]`` where members are by look."""
        return self._summed(family, family.counted(self.problem.type_power_w, self.problem.type_airflow_cfm), look)

    def drawn_by_day(self, family: BudgetFamily) -> IntArray:
        """``[domain, day · slot]`` thousandths, as :meth:`drawn`, for a family that is judged by days."""
        days = self.problem.scenarios
        by_type = (
            self.problem.type_power_w if days is None else family.counted(days.type_power_w, days.type_airflow_cfm)
        )
        return self._summed(family, by_type, None)

    def _summed(self, family: BudgetFamily, by_type: IntArray, look: IntArray | None) -> IntArray:
        by_kind = by_type.reshape(-1, family.base.shape[1])
        on = self.server if look is None else look[self.server]
        count = np.zeros((len(family.domains), len(by_kind)))
        for member, share in zip(family.member[on].T, family.share_permille[on].T, strict=True):
            inside = member != NONE
            np.add.at(count, (member[inside], self.kind[inside]), share[inside])
        return np.asarray(count @ by_kind).astype(np.int64)  # whole numbers below 2^53: floats count them exactly

"""From pairs, what servers draw and what may be relieved, to the numbers of a problem, without what cannot matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.failures import FailurePairs
from tapas_opt.budgets.numbers import BudgetFamily, MostDrawn
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.placement.survival.relief import cheapest_relief
from tapas_opt.placement.survival.slots import without_dominated_slots

__all__ = ["Draws", "Relief", "secured", "side_by_side", "survival", "transient"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = 10**9
"""More watts than any site has."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What is and may be drawn, summed over the servers of each unit, in W or CFM.

    Attributes
    ----------
    unit
        ``W`` or ``CFM``.
    present, most
        ``[unit, slot]`` what runs draws, and the most that the batch could add.
    of_type, count
        ``[type, hardware, slot]`` what a VM of the batch draws, and ``[type]`` how many there are.
    """

    unit: str
    present: IntArray
    most: IntArray
    of_type: IntArray
    count: IntArray

    @property
    def in_all(self) -> IntArray:
        """``[slot]`` the most that the batch could add anywhere."""
        return np.asarray(self.count @ self.of_type.max(axis=1, initial=0))


@dataclass(frozen=True, slots=True)
class Relief:
    """What may be relieved in time, in the same unit.

    Attributes
    ----------
    tiers, price
        Names and ``[tier]`` cost units for each unit relieved, rising.
    shortfall_price
        Of each unit that cannot be relieved.
    running
        ``[unit, tier, slot]`` by VMs that run.
    of_type
        ``[type, hardware, tier, slot]`` by a VM of the batch.
    """

    tiers: tuple[str, ...]
    price: IntArray
    shortfall_price: int
    running: IntArray
    of_type: IntArray


def transient(
    pairs: FailurePairs, unit_of: IntArray, limit: IntArray, draws: Draws, only: BoolArray | None = None
) -> BudgetFamily:
    """``ups_transient_limit`` as a family of budgets over servers; pairs that no plan can fill are left out.

    Parameters
    ----------
    limit
        ``[pair]`` the overload in W that is borne until the first relief acts.
    only
        ``[slot]`` where the pairs have a limit; everywhere if not given.
    """
    family, can_bind = _family(Constraint.UPS_TRANSIENT_LIMIT, pairs, limit, draws)
    if only is not None:
        family, can_bind = replace(family, limit=np.where(only, family.limit, UNLIMITED)), can_bind & only
    kept = _kept(family, np.asarray(can_bind.any(axis=1)))
    return replace(kept, member=kept.member[unit_of], share_permille=kept.share_permille[unit_of], can_bind=None)


def side_by_side(one: BudgetFamily, other: BudgetFamily) -> BudgetFamily:
    """The domains of both, as one family over the same servers."""
    moved = np.where(other.member == NONE, NONE, other.member + len(one.domains))
    return replace(
        one,
        domains=one.domains + other.domains,
        member=np.hstack([one.member, moved]),
        share_permille=np.hstack([one.share_permille, other.share_permille]),
        limit=np.vstack([one.limit, other.limit]),
        base=np.vstack([one.base, other.base]),
    )


def secured(
    pairs: FailurePairs,
    unit_of: IntArray,
    limit: IntArray,
    draws: Draws,
    relief: Relief,
    *,
    only: BoolArray | None = None,
    forget: bool = True,
) -> tuple[Secured, IntArray]:
    """``failure_secure`` in one unit, and ``[room]`` what relief in the worst failure costs already.

    Parameters
    ----------
    limit
        ``[pair]`` what is carried continuously after the failure.
    only
        ``[slot]`` when the failures have to be survived; always if not given.
    forget
        Whether failures and slots that the batch cannot touch, or that others imply, are left out; for the same cost of
        today the optimum is the same.
    """
    family, can_fill = _family(Constraint.FAILURE_SECURE, pairs, limit, draws)
    over = can_fill | (family.base > family.limit)
    if only is not None:
        can_fill, over = can_fill & only, over & only
    whole = _part(pairs, family, over if forget else np.ones_like(over), unit_of, relief)
    present = np.zeros(int(pairs.scenario_room.max(initial=-1)) + 1, dtype=np.int64)
    given, _ = cheapest_relief(whole, 0 * whole.family.base, 0 * whole.available)
    np.maximum.at(present, whole.scenario_room, whole.relief_cost(given).max(axis=1, initial=0))
    if not forget:
        return whole, present
    stated = np.zeros((len(pairs.scenarios), over.shape[1]), dtype=bool)
    np.logical_or.at(stated, pairs.scenario, can_fill)
    if (over & ~stated[pairs.scenario]).any():
        whole = _part(pairs, family, over & stated[pairs.scenario], unit_of, relief)
    return without_dominated_slots(whole, draws.of_type, draws.count), present


def _part(pairs: FailurePairs, family: BudgetFamily, rows: BoolArray, unit_of: IntArray, relief: Relief) -> Secured:
    """Survival with these ``[pair, slot]`` rows only."""
    matters = np.asarray(rows.any(axis=1))
    kept = _kept(replace(family, can_bind=rows), matters)
    scenarios, scenario = np.unique(pairs.scenario[matters], return_inverse=True)
    first, kind_of_unit = _kinds(kept)
    kinds = replace(kept, member=kept.member[first], share_permille=kept.share_permille[first])
    names = tuple(pairs.scenarios[i] for i in scenarios.tolist())
    groups = _Groups.of(kinds, scenario.ravel(), names)
    by_kind = np.zeros((len(first), *relief.running.shape[1:]), dtype=np.int64)
    np.add.at(by_kind, kind_of_unit, relief.running)
    return Secured(
        family=kinds,
        kind=kind_of_unit[unit_of],
        scenarios=names,
        scenario_room=pairs.scenario_room[scenarios],
        scenario=scenario.ravel(),
        groups=groups.names,
        group_scenario=groups.scenario,
        group_of_kind=groups.of_kind,
        group_pair=groups.pair,
        group_share_permille=groups.share_permille,
        tiers=relief.tiers,
        relief_price=relief.price,
        shortfall_price=relief.shortfall_price,
        available=groups.summed(by_kind),
        type_relief=relief.of_type,
    )


def survival(
    rooms: tuple[str, ...], parts: Sequence[tuple[Secured, IntArray]], no_worse: tuple[tuple[str, str], ...] = ()
) -> Survival:
    """Join the parts (:func:`secured`); those without a pair have nothing to say."""
    present = np.zeros(len(rooms), dtype=np.int64)
    for _, cost in parts:
        present[: len(cost)] = np.maximum(present[: len(cost)], cost)
    return Survival(rooms, tuple(part for part, _ in parts if len(part.family.domains)), present, no_worse)


def _family(
    constraint: Constraint, pairs: FailurePairs, limit: IntArray, draws: Draws
) -> tuple[BudgetFamily, BoolArray]:
    """The pairs as a family over units, and ``[pair, slot]`` where the batch could draw and exceed the limit."""
    shape = (len(pairs.names), len(draws.in_all))
    unused = np.zeros(shape, dtype=np.int64)
    bare = BudgetFamily(constraint, draws.unit, pairs.names, pairs.member, pairs.share_permille, unused, unused)
    base = -(-bare.drawn_permille(draws.present) // PERMILLE)
    family = replace(bare, limit=np.broadcast_to(limit[:, None], shape).copy(), base=base)
    most = MostDrawn(draws.most, draws.most, draws.in_all, draws.in_all).on(family)
    return family, np.asarray((most > 0) & (most > PERMILLE * family.room))


def _kept(family: BudgetFamily, matters: BoolArray) -> BudgetFamily:
    """Only the pairs that matter, renumbered, with the places that are used in front."""
    number = np.append(np.where(matters, np.cumsum(matters) - 1, NONE), NONE)
    member = number[family.member]
    share = np.where(member == NONE, 0, family.share_permille)
    order = np.argsort(member == NONE, axis=1, kind="stable")
    width = int((member != NONE).sum(axis=1).max(initial=0))
    on = np.flatnonzero(matters)
    return replace(
        family,
        domains=tuple(family.domains[d] for d in on.tolist()),
        member=np.take_along_axis(member, order, axis=1)[:, :width],
        share_permille=np.take_along_axis(share, order, axis=1)[:, :width],
        limit=family.limit[on],
        base=family.base[on],
        can_bind=None if family.can_bind is None else family.can_bind[on],
    )


def _kinds(family: BudgetFamily) -> tuple[IntArray, IntArray]:
    """First unit of each kind, and the kind of each unit."""
    if family.member.shape[1] == 0:
        return np.zeros(1, dtype=np.int64), np.zeros(len(family.member), dtype=np.int64)
    keys = np.hstack([family.member, family.share_permille])
    _, first, kind = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, kind.ravel().astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Kinds with the same shares over the pairs of a failure."""

    names: tuple[str, ...]
    scenario: IntArray
    of_kind: IntArray
    pair: IntArray
    share_permille: IntArray

    @classmethod
    def of(cls, kinds: BudgetFamily, scenario: IntArray, names: tuple[str, ...]) -> _Groups:
        number: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
        in_scenario: list[int] = [0] * len(names)
        labels: list[str] = []
        of_kind: list[list[int]] = []
        for members, shares in zip(kinds.member.tolist(), kinds.share_permille.tolist(), strict=True):
            drawn: dict[int, list[tuple[int, int]]] = {}
            for pair, share in zip(members, shares, strict=True):
                if pair != NONE:
                    drawn.setdefault(int(scenario[pair]), []).append((pair, share))
            of_kind.append([])
            for i, pairs in drawn.items():
                key = (i, tuple(pairs))
                if key not in number:
                    number[key] = len(number)
                    in_scenario[i] += 1
                    labels.append(f"{names[i]}/{in_scenario[i]}")
                of_kind[-1].append(number[key])
        return cls(
            names=tuple(labels),
            scenario=np.array([i for i, _ in number], dtype=np.int64),
            of_kind=_padded(of_kind, NONE),
            pair=_padded([[pair for pair, _ in pairs] for _, pairs in number], NONE),
            share_permille=_padded([[share for _, share in pairs] for _, pairs in number], 0),
        )

    def summed(self, by_kind: IntArray) -> IntArray:
        """``[group, …]`` sums of ``[kind, …]``."""
        total = np.zeros((len(self.names), *by_kind.shape[1:]), dtype=np.int64)
        for groups in self.of_kind.T:
            on = np.flatnonzero(groups != NONE)
            np.add.at(total, groups[on], by_kind[on])
        return total


def _padded(rows: list[list[int]], with_: int) -> IntArray:
    width = max((len(row) for row in rows), default=0)
    return np.array([row + [with_] * (width - len(row)) for row in rows], dtype=np.int64).reshape(len(rows), width)

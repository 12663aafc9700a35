"""What a placement must be able to bear: each failure's pairs, and what may be relieved in time (docs/adr/0018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE

__all__ = ["Secured", "Survival"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Secured:
    """Pairs of domain and failure that are counted in one unit, W or CFM, where a batch could matter.

    Servers of a *kind* draw alike on all pairs; in one failure, kinds with the same shares are a *group*: a watt less
    anywhere in it is worth the same. Relief comes in *tiers*, knobs of one price.

    Attributes
    ----------
    family
        Its domains are the pairs; ``member`` and ``share_permille`` are ``[kind, place]``. ``limit`` is what the domain
        carries continuously after the failure, ``base`` what running VMs draw there before any relief, ``can_bind``
        where a row is stated.
    kind
        ``[server]``.
    scenarios, scenario_room, scenario
        Names of the failures, ``[scenario]`` their rooms, and ``[pair]`` which of them each belongs to.
    groups, group_scenario, group_of_kind
        Names, ``[group]`` failure, ``[kind, place]`` which groups the kind is in, one a failure.
    group_pair, group_share_permille
        ``[group, place]`` pairs that relief of the group relieves, and by which part.
    tiers, relief_price
        ``[tier]`` names, and cost units for each unit relieved; rising.
    shortfall_price
        Of each unit that a pair stays above its limit beyond what running VMs alone leave there.
    available
        ``[group, tier, slot]`` what running VMs can give.
    type_relief
        ``[type, hardware, tier, slot]`` what a placed VM can give; over all tiers no more than it draws.
    """

    family: BudgetFamily
    kind: IntArray
    scenarios: tuple[str, ...]
    scenario_room: IntArray
    scenario: IntArray
    groups: tuple[str, ...]
    group_scenario: IntArray
    group_of_kind: IntArray
    group_pair: IntArray
    group_share_permille: IntArray
    tiers: tuple[str, ...]
    relief_price: IntArray
    shortfall_price: int
    available: IntArray
    type_relief: IntArray

    @property
    def stated(self) -> BoolArray:
        """``[scenario, slot]`` where some pair needs a row."""
        stated = np.zeros((len(self.scenarios), self.family.limit.shape[1]), dtype=bool)
        np.logical_or.at(stated, self.scenario, self.family.needs_row)
        return stated

    @property
    def stated_groups(self) -> BoolArray:
        """``[group, slot]`` where relief may be needed."""
        return np.asarray(self.stated[self.group_scenario])

    @property
    def tolerated(self) -> IntArray:
        """``[pair, slot]`` the limit, or what running VMs draw there with all relief, if that is more."""
        left = PERMILLE * self.family.base - self.relieved_permille(self.available.sum(axis=1))
        return np.asarray(np.maximum(self.family.limit, -(-left // PERMILLE)))

    def relieved_permille(self, relief: IntArray) -> IntArray:
        """``[pair, slot]`` thousandths by which ``[group, slot]`` of relief relieve each pair."""
        total = np.zeros_like(self.family.base)
        for pair, share in zip(self.group_pair.T, self.group_share_permille.T, strict=True):
            on = pair != NONE
            np.add.at(total, pair[on], relief[on] * share[on, None])
        return total

    def relief_cost(self, relief: IntArray) -> IntArray:
        """``[scenario, slot]`` what relief ``[group, tier, slot]`` costs."""
        cost = np.zeros(self.stated.shape, dtype=np.int64)
        np.add.at(cost, self.group_scenario, (relief * self.relief_price[:, None]).sum(axis=1))
        return cost

    def at_kind(self, kind: int) -> Iterator[tuple[int, int]]:
        """Pairs that servers of a kind draw on, each with its share in thousandths."""
        for pair, share in zip(
            self.family.member[kind].tolist(), self.family.share_permille[kind].tolist(), strict=True
        ):
            if pair != NONE:
                yield pair, share


@dataclass(frozen=True, slots=True)
class Survival:
    """All that failures ask of a placement.

    Attributes
    ----------
    rooms
        Names; a failure is one room's.
    parts
        Pairs in W and in CFM, where there are any.
    present_cost
        ``[room]`` what the relief in its worst failure costs already, chosen cheapest first for the running VMs: the
        objective counts what a plan adds to it.
    no_worse
        Failures left out because another is at least as bad for all they touch.
    """

    rooms: tuple[str, ...]
    parts: tuple[Secured, ...]
    present_cost: IntArray
    no_worse: tuple[tuple[str, str], ...] = ()

    @property
    def watched_rooms(self) -> BoolArray:
        """``[room]`` where some failure matters."""
        watched = np.zeros(len(self.rooms), dtype=bool)
        for part in self.parts:
            watched[part.scenario_room] = True
        return watched

    def on(self, of: IntArray) -> Survival:
        """The same for other places of VMs, ``[place]`` on servers ``of``."""
        return replace(self, parts=tuple(replace(part, kind=part.kind[of]) for part in self.parts))

    def costs(self, reliefs: tuple[IntArray, ...]) -> IntArray:
        """``[room]`` what relief ``[group, tier, slot]`` of each part costs in the worst of its failures and slots."""
        cost = np.zeros(len(self.rooms), dtype=np.int64)
        for part, relief in zip(self.parts, reliefs, strict=True):
            np.maximum.at(cost, part.scenario_room, part.relief_cost(relief).max(axis=1, initial=0))
        return cost

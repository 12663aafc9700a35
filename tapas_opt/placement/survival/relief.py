"""Relief chosen cheapest first: what an emergency would take, worked out for all failures and slots at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.survival.problem import Secured

__all__ = ["cheapest_relief"]

IntArray = NDArray[np.int64]


def cheapest_relief(part: Secured, draw_permille: IntArray, given: IntArray) -> tuple[IntArray, IntArray]:
    """Relief and shortfall that bring every stated pair to its limit.

    Tier after tier, groups that lie on one pair alone first; then what was taken too much is given back, the dearest
    first. Not always the cheapest choice there is, but one that cannot be lessened anywhere.

    Parameters
    ----------
    draw_permille
        ``[pair, slot]`` thousandths that placed VMs draw beyond the base.
    given
        ``[group, tier, slot]`` what placed VMs can give beyond what is available from running ones.

    Returns
    -------
    relief
        ``[group, tier, slot]`` whole W or CFM, 0 where nothing is stated.
    shortfall
        ``[pair]`` whole units that stay above the tolerated limit in the worst slot.
    """
    need = PERMILLE * (part.family.base - part.tolerated) + draw_permille
    need = np.where(part.family.needs_row, need, 0)
    most = np.where(part.stated_groups[:, None], part.available + given, 0)
    relief = np.zeros_like(most)
    rounds = _rounds(part)
    for tier in range(len(part.tiers)):
        for groups in rounds:
            _take(part, need, relief[:, tier], most[:, tier], groups)
    for tier in reversed(range(len(part.tiers))):
        for groups in reversed(rounds):
            _give_back(part, need, relief[:, tier], groups)
    shortfall = -(-np.maximum(0, need).max(axis=1, initial=0) // PERMILLE)
    return relief, shortfall


def _rounds(part: Secured) -> list[IntArray]:
    """Groups of which no two share a failure, those with the largest share on a single pair first."""
    largest = part.group_share_permille.max(axis=1, initial=0)
    order = np.lexsort((-largest, part.group_scenario))
    begin = np.searchsorted(part.group_scenario[order], np.arange(len(part.scenarios)))
    rank = np.arange(len(order)) - begin[part.group_scenario[order]]
    return [order[rank == r] for r in range(int(rank.max(initial=-1)) + 1)]


def _take(part: Secured, need: IntArray, relief: IntArray, most: IntArray, groups: IntArray) -> None:
    """Let groups give what the neediest of their pairs still needs, as far as they can."""
    wanted = np.zeros((len(groups), need.shape[1]), dtype=np.int64)
    for pair, share in _shares(part, groups):
        wanted = np.maximum(wanted, np.where(share > 0, -(-need[pair] // np.maximum(1, share)), 0))
    taken = np.minimum(wanted, most[groups] - relief[groups])
    _change(part, need, relief, groups, taken)


def _give_back(part: Secured, need: IntArray, relief: IntArray, groups: IntArray) -> None:
    """Let groups keep what none of their pairs needs."""
    spare = relief[groups]
    for pair, share in _shares(part, groups):
        spare = np.where(share > 0, np.minimum(spare, np.maximum(0, -need[pair]) // np.maximum(1, share)), spare)
    _change(part, need, relief, groups, -spare)


def _change(part: Secured, need: IntArray, relief: IntArray, groups: IntArray, by: IntArray) -> None:
    relief[groups] += by
    for pair, share in _shares(part, groups):
        on = share[:, 0] > 0
        need[pair[on]] -= by[on] * share[on]  # no two groups of a round lie on the same pair


def _shares(part: Secured, groups: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Place by place, pair and ``[group, 1]`` share; a share of 0 where there is none."""
    pairs, shares = part.group_pair[groups], part.group_share_permille[groups]
    return [(pair, np.where(pair == NONE, 0, share)[:, None]) for pair, share in zip(pairs.T, shares.T, strict=True)]

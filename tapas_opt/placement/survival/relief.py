"""Relief chosen cheapest first: what an emergency would take, worked out for all failures and slots at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
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
    from tapas_opt.placement.survival import kernels  # noqa: PLC0415  compiled loops take long to import

    need = PERMILLE * (part.family.base - part.tolerated) + draw_permille
    need[~part.family.needs_row] = 0
    relief = np.zeros_like(part.available)
    pairs, groups = _of_scenarios(part.scenario, part), _of_scenarios(part.group_scenario, part, _largest_share(part))
    group = part.group_pair, part.group_share_permille
    kernels.relieve(need, part.stated, pairs, groups, group, (part.available, given), relief)
    shortfall = -(-np.maximum(0, need.max(axis=1, initial=0)) // PERMILLE)
    return relief, shortfall


def _largest_share(part: Secured) -> IntArray:
    """``[group]`` on any single pair: those with a large one go first."""
    return np.asarray(part.group_share_permille.max(axis=1, initial=0))


def _of_scenarios(scenario: IntArray, part: Secured, before: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """Numbers ordered by scenario, the highest of ``before`` first, and where each scenario's begin."""
    order = np.lexsort((scenario,) if before is None else (-before, scenario))
    return order, np.searchsorted(scenario[order], np.arange(len(part.scenarios) + 1))

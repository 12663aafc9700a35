"""Slots of a failure that others imply: the compiled loop against the words of its module, in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.placement.survival.slots import without_dominated_slots


def shift(part, count, draw, g, t, u):
    """The least s[g] that every tier allows when slot u is to imply slot t."""
    shifts = []
    for level in range(len(part.tiers) + 1):
        gain = int(part.available[g, :level, u].sum() - part.available[g, :level, t].sum())
        left = draw - part.type_relief[:, :, :level].sum(axis=2)
        more = np.maximum(0, left[..., t] - left[..., u]).max(axis=1)
        shifts.append(gain + int(count @ more))
    return max(0, *shifts)


def implies(part, count, draw, pairs, groups, t, u):
    room = part.tolerated - part.family.base
    for d in pairs:
        need = sum(
            int(share) * shift(part, count, draw, g, t, u)
            for g in groups
            for pair, share in zip(part.group_pair[g], part.group_share_permille[g], strict=True)
            if pair == d
        )
        if part.family.needs_row[d, t] and 1000 * int(room[d, t] - room[d, u]) < need:
            return False
    return True


@pytest.mark.parametrize("seed", range(25))
def test_of_the_slots_that_go_each_is_implied_by_one_that_stays(seed, random_survival):
    """And of those that stay none is implied by one with less room in all."""
    problem = random_survival(seed, hours=6, forget=False)
    count = np.bincount(problem.vm_type, minlength=len(problem.type_fits))
    for part in problem.survival.parts:
        draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        kept = without_dominated_slots(part, draw, count).stated
        for i in range(len(part.scenarios)):
            pairs, groups = np.flatnonzero(part.scenario == i), np.flatnonzero(part.group_scenario == i)
            stays = np.flatnonzero(kept[i]).tolist()
            told = {(t, u): implies(part, count, draw, pairs, groups, t, u) for t in range(6) for u in stays if t != u}
            assert all(any(told[t, u] for u in stays) for t in range(6) if t not in stays)
            total = (part.tolerated - part.family.base)[pairs].sum(axis=0)
            assert not any(told[t, u] and total[t] > total[u] for t in stays for u in stays if t != u)

"""Relief chosen cheapest first, in compiled loops, against plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.placement.survival.relief import cheapest_relief


def plainly(part, drawn, given):
    """Tier after tier, the group with the largest share on one pair first; then back what nobody needs."""
    relief = np.zeros_like(given)
    short = [0] * len(part.family.domains)
    for i in range(len(part.scenarios)):
        groups = np.flatnonzero(part.group_scenario == i).tolist()
        groups.sort(key=lambda g: -part.group_share_permille[g].max())
        for t in np.flatnonzero(part.stated[i]).tolist():
            need = {}
            for d in np.flatnonzero(part.scenario == i).tolist():
                over = PERMILLE * int(part.family.base[d, t] - part.tolerated[d, t]) + int(drawn[d, t])
                need[d] = over if part.family.needs_row[d, t] else 0

            def on(g):
                pairs = zip(part.group_pair[g].tolist(), part.group_share_permille[g].tolist(), strict=True)
                return [(d, share) for d, share in pairs if d >= 0 and share > 0]

            def give(g, tier, amount, t=t, need=need, on=on):
                relief[g, tier, t] += amount
                for d, share in on(g):
                    need[d] -= amount * share

            for tier in range(len(part.tiers)):
                for g in groups:
                    wanted = max([0, *(-(-need[d] // share) for d, share in on(g))])
                    give(g, tier, min(wanted, int(part.available[g, tier, t] + given[g, tier, t])))
            for tier in reversed(range(len(part.tiers))):
                for g in reversed(groups):
                    back = [max(0, -need[d]) // share for d, share in on(g)]
                    give(g, tier, -min([int(relief[g, tier, t]), *back]))
            for d, over in need.items():
                short[d] = max(short[d], -(-over // PERMILLE))
    return relief, short


@pytest.mark.parametrize("seed", range(20))
def test_compiled_relief_is_what_plain_loops_choose(seed, random_survival):
    problem = random_survival(seed, vms=9, servers=8, types=3, hours=4)
    rng = np.random.default_rng(seed)
    for part in problem.survival.parts:
        drawn = rng.integers(0, 2_000_000, part.family.base.shape) * rng.integers(0, 2, part.family.base.shape)
        given = rng.integers(0, 400, part.available.shape)
        relief, shortfall = cheapest_relief(part, drawn, given)
        expected, short = plainly(part, drawn, given)
        assert (relief == expected).all()
        assert shortfall.tolist() == short

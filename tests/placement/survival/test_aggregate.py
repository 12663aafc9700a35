"""The bound of the site as a few places, where failures are to be survived."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.mip import highs
from tapas_opt.mip.result import MipStatus
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.formulation import formulate
from tapas_opt.placement.places import Apart
from tapas_opt.placement.problem import placement_classes


def bounds_and_optimum(problem):
    result = highs.solve(formulate(problem, placement_classes(problem)), deadline_s=20.0, gap_frac=0.0)
    assert result.status is MipStatus.OPTIMAL
    return [shares(problem, deadline_s=20.0, apart=apart).bound for apart in Apart], result.objective


@pytest.mark.parametrize("seed", range(60))
def test_no_bound_lies_above_the_optimum(seed, random_survival):
    """However finely the site is looked at."""
    problem = random_survival(seed, vms=4 + seed % 5, servers=4 + seed % 6, types=1 + seed % 3, hours=seed % 4)
    bounds, optimum = bounds_and_optimum(problem)
    assert max(bounds) <= optimum + 1e-6


def test_bounds_know_of_failures(random_survival):
    """Otherwise the test above would claim little: without them bounds are lower."""
    higher = 0
    for seed in range(20):
        problem = random_survival(seed, vms=9, servers=8, types=3, hours=2)
        found = shares(problem, deadline_s=20.0, apart=Apart.AREAS)
        blind = shares(replace(problem, survival=None), deadline_s=20.0, apart=Apart.AREAS)
        assert found.bound >= blind.bound - 1e-6
        higher += found.bound > 1.01 * blind.bound + 1.0
    assert higher >= 5

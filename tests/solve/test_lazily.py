"""A small batch is placed by problems of which less is said, and by VMs that trade places."""

from __future__ import annotations

import pytest

from tapas_opt.bench.instances import Making, instance
from tapas_opt.mip.result import MipStatus
from tapas_opt.placement.check import check
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import placement_classes
from tapas_opt.solve.exact import Search
from tapas_opt.solve.lazily import ATTEMPTS, solved_lazily


@pytest.mark.parametrize("seed", [1, 4])
def test_where_a_failure_decides_trading_on_brings_a_batch_near_its_bound_in_a_few_plans(repository, seed):
    """Greedy is 1.3 % above the bound for the first seed, and 5.3 % for the second.

    A plan that follows cooled VMs is 1 % above it at best in five attempts: near the limits, and on warm servers.
    """
    making = Making(1_000, seed, repository / "models" / "demo", repository / "data" / "demo" / "profiles.csv")
    problem = instance("placement-batch", making)
    start, told = greedy(problem), []
    search = Search("decomposition", None, 0.01, seed=1)
    found = solved_lazily(problem, placement_classes(problem), start, search, told.append)
    report = check(problem, found.plan)
    assert report.ok, report.violations
    assert found.status is MipStatus.OPTIMAL
    assert 0.99 * report.objective <= found.bound <= report.objective < 0.995 * check(problem, start).objective
    assert sum(news.plan is not None for news in told) < ATTEMPTS

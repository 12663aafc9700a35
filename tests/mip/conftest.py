import numpy as np
import pytest

from tapas_opt.mip import cpsat, highs, scip
from tapas_opt.mip.model import MipModel


@pytest.fixture(params=[highs.solve, cpsat.solve, scip.solve], ids=["highs", "cpsat", "scip"])
def solve(request):
    return request.param


@pytest.fixture
def knapsack():
    """Worth 60, 100, 120 and weight 10, 20, 30 into 50: the last two are best, 100 + 120 = 220."""
    model = MipModel()
    items = ["small", "medium", "large"]
    take = model.columns("take", items, upper=1, cost=[-60, -100, -120], integer=True)
    model.add(model.rows("weight", upper=50), take, [10, 20, 30])
    return model.arrays()


@pytest.fixture
def random_cover():
    """Cheapest choice of 40 columns that covers 30 rows, different for each seed."""

    def made(seed):
        rng = np.random.default_rng(seed)
        model = MipModel()
        pick = model.columns("pick", [f"c{j}" for j in range(40)], upper=3, cost=rng.integers(5, 30, 40), integer=True)
        rows = model.rows("cover", [f"r{i}" for i in range(30)], lower=rng.integers(5, 20, 30))
        model.add(rows[:, None], pick[None, :], rng.integers(0, 6, (30, 40)))
        return model.arrays()

    return made

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.mip import cpsat
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus


def test_everything_off_the_grid_is_named_at_once():
    model = MipModel()
    share = model.columns("share", ["S1"], upper=1)
    x = model.columns("x", ["a", "b"], upper=1, cost=[1, 1 / 3], integer=True)
    rows = model.rows("power", ["R1", "R2"], upper=3)
    model.add(rows[:, None], x, [[0.5, 1], [1, 1 / 7]])
    model.add(rows[0], share, 1)
    with pytest.raises(InvalidInput) as refused:
        cpsat.solve(model.arrays(), deadline_s=10)
    assert [fault.where for fault in refused.value.faults] == ["column share[S1]", "column x[b]", "row power[R2]"]


def test_a_row_that_overflows_64_bits_is_named():
    model = MipModel()
    x = model.columns("x", upper=1e12, integer=True)
    model.add(model.rows("power", ["R1"], upper=1), x, 1e9)
    with pytest.raises(InvalidInput, match=r"power\[R1\]: overflows"):
        cpsat.solve(model.arrays(), deadline_s=10)


def test_a_column_may_be_larger_than_the_edge():
    """Only columns without a bound are boxed at 1e9; this one has its own, 3e9."""
    model = MipModel()
    model.columns("x", upper=3e9, cost=-1, integer=True)
    result = cpsat.solve(model.arrays(), deadline_s=10)
    assert (result.status, result.objective, result.bound) == (MipStatus.OPTIMAL, -3e9, -3e9)


def test_a_limit_between_two_integers_is_rounded_inward():
    """3 x <= 7.5 allows 2, and 3 x >= 4.4 needs 2: no grid of tenths is needed for the limits."""
    for cost in (-1, 1):
        model = MipModel()
        x = model.columns("x", upper=9, cost=cost, integer=True)
        model.add(model.rows("r", lower=4.4, upper=7.5), x, 3)
        assert cpsat.solve(model.arrays(), deadline_s=10).values.tolist() == [2]


def test_beyond_the_edge_of_an_open_column_nothing_is_claimed():
    """a and b may grow together for ever, so no box is derived; a solution is found, a proof is not."""
    model = MipModel()
    x = model.columns("x", ["a", "b"], lower=-np.inf, integer=True, cost=[1, 1])
    model.add(model.rows("sum", lower=4), x, [1, 1])
    result = cpsat.solve(model.arrays(), deadline_s=10)
    assert result.status in (MipStatus.FEASIBLE, MipStatus.UNBOUNDED)
    assert result.bound == -np.inf


def test_a_bound_is_never_claimed_above_the_cheapest_costs():
    """Stopped before it starts CP-SAT reports a bound of 0, which no proof stands behind: -200 is possible."""
    model = MipModel()
    x = model.columns("x", [str(i) for i in range(200)], upper=1, cost=-1, integer=True)
    model.add(model.rows("r", upper=300), x, 2)
    assert cpsat.solve(model.arrays(), deadline_s=0).bound <= -150


def test_a_large_model_does_not_lose_its_start_in_presolve():
    """30,000 columns take longer to presolve than a deadline of seconds allows (google/or-tools#3750)."""
    rng = np.random.default_rng(0)
    vms, servers, slots = ([f"{i}" for i in range(n)] for n in (1500, 20, 12))
    model = MipModel()
    x = model.columns("assign", vms, servers, upper=1, cost=rng.integers(1, 100, (1500, 20)), integer=True)
    model.add(model.rows("placed_once", vms, lower=1, upper=1)[:, None], x, 1)
    load = rng.integers(1, 20, (1500, 12))
    model.add(model.rows("power", servers, slots, upper=900)[None], x[:, :, None], load[:, None, :])
    start = np.zeros((1500, 20))
    start[np.arange(1500), np.arange(1500) % 20] = 1
    arrays = model.arrays()
    assert arrays.worst_violation(start.ravel()) == 0
    result = cpsat.solve(arrays, deadline_s=5, start=start.ravel())
    assert result.values is not None
    assert result.objective <= arrays.objective(start.ravel())

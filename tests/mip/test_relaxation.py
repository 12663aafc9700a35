"""Prices of the rows of a relaxation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip import relaxation
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.relaxation import relaxed, row_prices


def test_a_bound_that_its_row_implies_takes_nothing_of_the_row_s_price():
    """One asks for 1 and costs 2 a unit, another 5: a unit more costs 2, though the first is at its upper bound."""
    model = MipModel()
    x = model.columns("x", ["cheap", "dear"], upper=1.0, cost=[2.0, 5.0], integer=True)
    model.add(model.rows("demand", lower=1.0, upper=1.0), x, 1.0)
    assert row_prices(model.arrays(), deadline_s=10.0) == (2.0, pytest.approx([2.0]))
    assert np.isinf(relaxed(model.arrays()).upper).all()


def test_a_bound_of_its_own_stays():
    """Half of a unit is all there is of the cheap one; the next comes from the dear one."""
    model = MipModel()
    x = model.columns("x", ["cheap", "dear"], upper=[0.5, 9.0], cost=[2.0, 5.0])
    model.add(model.rows("demand", lower=1.0), x, 1.0)
    assert row_prices(model.arrays(), deadline_s=10.0) == (3.5, pytest.approx([5.0]))


def test_what_has_no_solution_has_no_price():
    model = MipModel()
    x = model.columns("x", upper=1.0)
    model.add(model.rows("demand", lower=2.0), x, 1.0)
    model.add(model.rows("limit", upper=1.0), x, 1.0)
    assert row_prices(model.arrays(), deadline_s=10.0) is None


@pytest.mark.parametrize("seed", range(10))
def test_rows_that_are_added_as_they_are_broken_have_the_prices_of_all(seed, monkeypatch):
    """A row that never is has none; the others prove the value of all rows (strong duality)."""
    rng = np.random.default_rng(seed)
    model = MipModel()
    x = model.columns("x", [str(j) for j in range(8)], upper=9.0, cost=rng.uniform(1, 9, 8), integer=True)
    short = model.columns("short", cost=20.0)
    limits = model.rows("limit", [str(r) for r in range(60)], upper=rng.uniform(5, 50, 60))
    model.add(limits[:, None], x, rng.uniform(0.5, 5, (60, 8)))
    model.add(model.rows("demand", lower=80.0), [*x, short], 1.0)
    arrays = model.arrays()
    z, _ = row_prices(arrays, deadline_s=10.0)
    monkeypatch.setattr(relaxation, "FEW_ROWS", 0)
    monkeypatch.setattr(relaxation, "MORE_ROWS", 3)
    few, price = row_prices(arrays, deadline_s=10.0, start=np.zeros(9))
    assert few == pytest.approx(z)
    side = np.where(np.isinf(arrays.row_upper), arrays.row_lower, arrays.row_upper)
    cheaper = np.minimum(0.0, arrays.cost - _transposed(arrays, price))[:8]
    assert price @ side + 9.0 * cheaper.sum() == pytest.approx(z)
    assert (price[:60] < 0).any()


def _transposed(arrays, price):
    return np.bincount(arrays.index, weights=arrays.value * price[arrays.row_of_entry], minlength=arrays.columns_count)


@pytest.mark.parametrize("seed", range(40))
def test_the_price_bounds_every_change_of_the_row(seed):
    """z(b + δ) ≥ z(b) + price · δ for both signs of δ: the value is convex in b, and the price is a slope of it."""
    rng = np.random.default_rng(seed)
    model = MipModel()
    x = model.columns(
        "x", [str(j) for j in range(6)], upper=rng.integers(1, 4, 6), cost=rng.integers(1, 9, 6), integer=True
    )
    short = model.columns("short", upper=30.0, cost=50.0)
    limits = model.rows("limit", ["a", "b", "c"], upper=rng.integers(3, 20, 3))
    model.add(limits[:, None], x, rng.integers(0, 6, (3, 6)))
    demand = model.rows("demand", lower=int(rng.integers(5, 30)))
    model.add(demand, x, rng.integers(1, 6, 6))
    model.add(demand, short, 1.0)
    arrays = model.arrays()
    z, price = row_prices(arrays, deadline_s=10.0)
    for r in range(arrays.rows_count):
        for step in (-2.0, -0.1, 0.1, 2.0):
            moved = np.where(np.arange(arrays.rows_count) == r, step, 0.0)
            other = replace(arrays, row_lower=arrays.row_lower + moved, row_upper=arrays.row_upper + moved)
            assert row_prices(other, deadline_s=10.0)[0] >= z + price[r] * step - 1e-7

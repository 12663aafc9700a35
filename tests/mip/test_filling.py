"""The fullest worth that fits a unit: a search that misses it makes bounds wrong, and one that dawdles makes none."""

from itertools import product

import numpy as np
import pytest

from tapas_opt.mip.alike import alike_of
from tapas_opt.mip.filling import Filling
from tapas_opt.mip.kernels import fillings
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.pricing import blocks_of


def bins_for(size, copies, bin_cost=1.0, item_cost=0.0):
    """As many bins of 10 in each row as there are copies."""
    names = [str(n) for n in range(len(size))], [str(n) for n in range(int(copies.sum()))]
    model = MipModel()
    packed = model.columns("packed", *names, upper=copies[:, None], cost=item_cost, integer=True)
    used = model.columns("used", names[1], upper=1, cost=bin_cost, integer=True)
    model.add(model.rows("every", names[0], lower=copies, upper=copies)[:, None], packed, 1)
    room = model.rows("room", names[1], [str(r) for r in range(size.shape[1])], upper=0)
    model.add(room[None], packed[:, :, None], size[:, None, :])
    model.add(room, used[:, None], -10)
    return alike_of(blocks_of(model.arrays()))


def drawn(seed, items=6):
    """Two rows, one to two copies; every third seed has items that give room, as some published ones do."""
    rng = np.random.default_rng(seed)
    size = rng.integers(-3 if seed % 3 == 0 else 1, 9, (items, 2)).astype(float)
    size[0] = np.abs(size[0]) + 1
    return size, rng.integers(1, 3, items), rng.uniform(-0.2, 1.0, items)


def most_by_hand(size, copies, worth):
    """Every set of copies in turn."""
    sets = np.array(list(product(*(range(c + 1) for c in copies))))
    return float((sets[(sets @ size <= 10).all(axis=1)] @ worth).max())


@pytest.mark.parametrize("seed", range(30))
def test_the_search_finds_what_trying_every_set_finds(seed):
    """Worth less the bin's cost, and a pattern that has it and fits."""
    size, copies, price = drawn(seed)
    alike = bins_for(size, copies)
    loose = np.where(alike.taking, 0.0, 1.0)
    patterns, most = Filling(alike, loose, least_cost=1.0).search(price, alike.size, -1.0)
    assert most == pytest.approx(most_by_hand(size, copies, price) - 1.0)
    worth = np.where(alike.taking, price[np.maximum(0, alike.block)], 0.0) - alike.unit.cost
    assert (patterns @ worth).max() == pytest.approx(most)
    assert all(alike.unit.worst_violation(pattern) <= 1e-9 for pattern in patterns)


def test_nothing_is_handed_out_that_is_not_above_the_floor():
    """One item worth 0.5 in a bin that costs 1: no pattern, and the floor is the limit."""
    alike = bins_for(np.array([[5.0]]), np.array([3]))
    patterns, most = Filling(alike, np.array([0.0, 1.0]), least_cost=1.0).search(np.array([0.1]), alike.size, 0.0)
    assert len(patterns) == 0
    assert most == 0.0


def test_a_unit_that_might_be_cheaper_with_less_has_no_limit():
    """Where items cost something by themselves, or a bin less than assumed, the search is no proof."""
    size, copies = np.array([[5.0]]), np.array([3])
    for alike in (bins_for(size, copies, item_cost=0.5), bins_for(size, copies, bin_cost=2.0)):
        _, most = Filling(alike, np.array([0.0, 1.0]), least_cost=1.0).search(np.array([0.9]), alike.size, 0.0)
        assert most == np.inf


def test_a_search_that_runs_out_of_nodes_says_so():
    """Forty items, twenty of which fit, and a hundred looks."""
    items = 40
    out = np.zeros((4, items), dtype=np.int64)
    worth = np.linspace(1.0, 1.1, items)
    ones = np.ones(items, dtype=np.int64)
    found, best, done = fillings(worth, np.ones((items, 1)), ones, np.array([20.0]), 0.0, 100, out)
    assert not done
    assert found > 0
    assert best == pytest.approx(worth @ out[(found - 1) % len(out)])

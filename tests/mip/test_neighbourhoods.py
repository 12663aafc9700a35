"""Ways to choose parts: who gets the next one, and how large it is."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip.integers import is_whole
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.neighbourhoods import FEW_COLUMNS, FEW_PATIENCE, Look, Neighbourhoods
from tapas_opt.mip.pricing import blocks_of


def choices(blocks=60, options=5):
    """Each of sixty blocks takes one of five columns; two rows have room for some."""
    rng = np.random.default_rng(1)
    model = MipModel()
    names = [str(n) for n in range(blocks)], [str(n) for n in range(options)]
    choose = model.columns("choose", *names, upper=1, cost=rng.integers(0, 100, (blocks, options)), integer=True)
    model.add(model.rows("one", names[0], lower=1, upper=1)[:, None], choose, 1)
    room = model.rows("room", ["a", "b"], upper=3 * blocks)
    model.add(room[:, None, None], choose[None], rng.integers(1, 9, (2, blocks, options)))
    return model.arrays()


def drawing(arrays):
    blocks = blocks_of(arrays)
    price = np.array([-1.0, -1.0])
    best = np.zeros(arrays.columns_count)
    best[blocks.column[blocks.start + 4]] = 1.0
    return Neighbourhoods(blocks, price, np.random.default_rng(0)), best


def test_few_columns_come_until_they_better_nothing_any_more_and_then_all_ways_do():
    """Somebody who betters nothing must not keep the others waiting; who betters something goes on."""
    neighbourhoods, best = drawing(choices())
    for bettered in (0.0, 5.0, *[0.0] * FEW_PATIENCE):
        _, way = neighbourhoods.drawn(best)
        assert way.look is Look.FEW
        way.learn(bettered, 0.1, closed=True, quick=True)
    looks = set()
    for _ in range(60):
        _, way = neighbourhoods.drawn(best)
        looks.add(way.look)
        way.learn(0.0, 0.1, closed=True, quick=False)
    assert looks == set(Look)


def test_the_way_that_betters_most_has_three_quarters_of_the_time():
    """However long the parts of the others take."""
    neighbourhoods, best = drawing(choices())
    spent = dict.fromkeys(Look, 0.0)
    for _ in range(1_000):
        _, way = neighbourhoods.drawn(best)
        took_s = 1.0 if way.look is Look.CORE else 10.0
        spent[way.look] += took_s
        way.learn(1.0 if way.look is Look.CORE else 0.0, took_s, closed=True, quick=False)
    assert spent[Look.CORE] / sum(spent.values()) == pytest.approx(0.75, abs=0.15)


def test_a_core_of_few_columns_has_few_beside_the_cheapest_and_the_solutions_own():
    """60 blocks with one column each, the solution's where it differs, and some thirty in all beside the first."""
    neighbourhoods, best = drawing(choices())
    free, way = neighbourhoods.drawn(best)
    freed = blocks_of(choices()).with_any(free)
    assert way.look is Look.FEW
    assert (free[best > 0].sum()) == freed.sum()
    assert free.sum() - freed.sum() <= max(FEW_COLUMNS + 1, (best > 0).sum())


def test_few_columns_are_for_models_in_bounded_integers_only():
    """CP-SAT knows no others: half a watt less, a continuous column or an open one, and HiGHS has all parts."""
    arrays = choices()
    assert is_whole(arrays)
    third = replace(arrays, cost=arrays.cost / 3)
    loose = replace(arrays, integer=np.arange(arrays.columns_count) > 0)
    open_ended = replace(arrays, upper=np.where(np.arange(arrays.columns_count) > 0, 1.0, np.inf))
    for odd in (third, loose, open_ended):
        assert not is_whole(odd)
    neighbourhoods, best = drawing(third)
    assert neighbourhoods.drawn(best)[1].look is Look.CORE

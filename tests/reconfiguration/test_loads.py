"""What whole loads add to a bound, against brute force and HiGHS."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.reconfiguration import load_kernels
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.formulation import formulate
from tapas_opt.reconfiguration.loads import Part, with_whole_loads
from tapas_opt.reconfiguration.pricing import Prices, Pricing
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.reconfiguration.search import Search
from tapas_opt.reconfiguration.tables import tables_of

BIG, PARKED = 0, 4


def random_part(seed):
    """An endpoint of five instances with four options each, some not to be had; loads are dear and serve more."""
    rng = np.random.default_rng(seed)
    loads = rng.random((5, 4)) < 0.5
    tokens = rng.integers(0, 100, (5, 4)) + 60.0 * loads
    cost = rng.integers(0, 300, (5, 4)) + 800.0 * loads
    cost[:, 1:][rng.random((5, 3)) < 0.2] = np.inf
    return Part(cost, tokens, loads, demand=int(rng.integers(100, 700)), unserved=50.0)


def all_plans(part):
    """Cost, tokens and counted loads of each plan; an instance that has to load is not counted."""
    must = (part.loads | np.isinf(part.cost)).all(axis=1)
    each, instances = range(part.cost.shape[1]), np.arange(len(part.cost))
    for chosen in product(each, repeat=len(part.cost)):
        at = np.array(chosen)
        if np.isfinite(part.cost[instances, at]).all():
            loads = int((part.loads[instances, at] & ~must).sum())
            yield part.cost[instances, at].sum(), part.tokens[instances, at].sum(), loads


@pytest.mark.parametrize("seed", range(6))
def test_instances_choose_what_is_cheapest_among_plans_with_so_many_loads(seed):
    part = random_part(seed)
    plans = list(all_plans(part))
    for token, (least, most) in product((0.0, 4.0, 12.0), ((0, 5), (0, 0), (0, 1), (2, 5), (3, 3), (5, 5))):
        value, served, loads = load_kernels.served_by(part.cost, part.tokens, part.loads, token, least, most)
        known = [cost - token * tokens for cost, tokens, count in plans if least <= count <= most]
        assert value == pytest.approx(min(known, default=np.inf))
        assert value == np.inf or least <= loads <= most
        assert value == np.inf or (value + token * served, served, loads) in [
            (pytest.approx(cost), pytest.approx(tokens), count) for cost, tokens, count in plans
        ]


def test_the_bound_of_an_endpoint_lies_between_that_of_prices_and_the_best_plan():
    """And is well above that of prices in many cases: loads are dear here."""
    better = 0
    for seed in range(30):
        part = random_part(seed)
        best = min(cost + part.unserved * max(0.0, part.demand - tokens) for cost, tokens, _ in all_plans(part))
        alone = max(part.at(token, 0, 5).value for token in np.linspace(0.0, part.unserved, 1_001))
        found = part.bound()
        assert alone - 1e-6 <= found <= best + 1e-6
        better += found > alone + 0.05 * (best - alone) + 1.0
    assert better >= 12


def test_an_option_is_charged_what_the_others_of_its_domain_then_cost_more(random_problem):
    """Choosing together with one option fixed, at its best option, is choosing together."""
    charged = 0
    for seed in range(8):
        tables = tables_of(random_problem(seed, stage=Stage.SETTLED, instances=12, configurations=4))
        pricing, rng = Pricing(tables), np.random.default_rng(seed)
        prices = Prices(rng.uniform(0, 3, len(tables.of_endpoint)), rng.uniform(0, 2, len(tables.room)))
        rate, packs = pricing.rates(prices), pricing.packs
        for d in packs.small:
            at = np.zeros(len(tables.kind), dtype=np.int64)
            whole = packs.added([d], prices.domain, rate, at)
            for i in packs.here(d):
                k = tables.kind[i]
                score = rate[i] @ packs.option[k, :, : tables.width[k]]
                by_option = packs.added_by_option(i, d, prices.domain, rate)
                assert np.isinf(by_option[tables.width[k] :]).all()
                together = by_option[: tables.width[k]] + score - score.min()
                assert together.min() == pytest.approx(whole, abs=1e-6)
                charged += np.ptp(by_option[np.isfinite(by_option)]) > 0
    assert charged > 5


def test_one_load_is_counted_whole(room):
    """Eight instances serve 1,000 tokens/s each at 4,000 W, a ninth is parked, and 8,050 tokens/s are asked.

    Prices buy a twentieth of what the ninth costs at full: 50,000 to load, 200 for the change, 4,000 W. A plan buys it
    whole, with its clock locked (3,000 W, 800 tokens/s), and locks three other clocks, each 1,000 W less for a change
    and 200 tokens/s. The bound locks 750 / 200 of them.
    """
    problem = room(current=[BIG] * 8 + [PARKED], demand=8_050, limit_w=40_000, stage=Stage.SETTLED)
    problem = replace(problem, prices=replace(problem.prices, reload=50_000))
    search = Search(tables_of(problem))
    plan, bound = search.run()
    assert search.pricing.chosen(search.prices)[1].bound == pytest.approx(32_000 + 54_200 / 20)
    assert bound == pytest.approx(32_000 + 53_200 - 750 / 200 * 800)
    assert check(problem, plan).objective == optimum(problem) == 32_000 + 53_200 - 3 * 800


def optimum(problem):
    arrays = formulate(problem, reconfiguration_classes(problem))
    return highs.solve(arrays, deadline_s=20.0, gap_frac=0.0, threads=1).objective


def test_whole_loads_keep_a_bound_below_the_optimum(random_problem):
    """Over random rooms and at random prices as well as at good ones; whole loads help where one is needed."""
    better, rng = 0, np.random.default_rng(1)
    for seed in range(40):
        problem = random_problem(seed, stage=Stage.SETTLED, instances=10, configurations=4)
        search = Search(tables_of(problem))
        search.run()
        if search.rank[0] > 0:
            continue
        best, unserved = optimum(problem), problem.prices.unserved_token_per_s
        guessed = replace(search.prices, token=rng.uniform(0, 0.5 * unserved, len(problem.endpoints)))
        for prices, endpoints in product((search.prices, guessed), ([0], [1], [0, 1])):
            alone = search.pricing.chosen(prices)[1]
            whole = with_whole_loads(search.tables, search.pricing, alone, endpoints)
            assert alone.bound <= whole.bound <= best * (1 + 1e-6) + 1e-6
            better += whole.bound > alone.bound + 1e-3 * best
    assert better > 15

"""The compiled loops against plain ones."""

from itertools import product

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.reconfiguration import greedy, kernels, load_kernels, search_kernels
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.formulation import formulate
from tapas_opt.reconfiguration.greedy import bounded
from tapas_opt.reconfiguration.loads import with_whole_loads
from tapas_opt.reconfiguration.pricing import Prices, Pricing
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.reconfiguration.search import Search
from tapas_opt.reconfiguration.tables import tables_of


@pytest.fixture(params=range(6))
def tables(request, random_problem):
    seed = request.param
    return tables_of(random_problem(seed, stage=list(Stage)[seed % 2], instances=12, configurations=4))


def random_prices(tables, seed):
    rng = np.random.default_rng(seed)
    return Prices(rng.uniform(0, 3, len(tables.of_endpoint)), rng.uniform(0, 2, len(tables.room)), 5.0)


def priced(tables, prices, i):
    """What each option of an instance costs, in plain loops."""
    k, costs = tables.kind[i], []
    for c in range(tables.width[k]):
        tokens, watts, air, cost, change = (int(n) for n in tables.option[k, :, c])
        total = cost + prices.change * change - prices.token[tables.endpoint[i]] * tokens
        for domain, per_watt, per_cfm in tables.place[i]:
            total += prices.domain[domain] * (per_watt * watts + per_cfm * air) / 1000
        costs.append(total)
    return np.array(costs)


def test_instances_choose_what_is_cheapest_at_the_prices(tables):
    prices, at = random_prices(tables, 1), np.empty(len(tables.kind), dtype=np.int64)
    rate = Pricing(tables).rates(prices)
    kernels.cheapest(tables.kind, tables.width, tables.option.astype(float), rate, at)
    for i, c in enumerate(at):
        assert c == priced(tables, prices, i).argmin()


def test_the_soft_choice_and_its_sums_are_those_of_plain_loops(tables):
    prices, softness, pricing = random_prices(tables, 2), 700.0, Pricing(tables)
    count = len(tables.kind)
    mean, value = np.empty((count, kernels.FIELDS)), 0.0
    rate, curve = pricing.rates(prices), tables.option.astype(float)
    found = kernels.expected(tables.kind, tables.width, curve, rate, softness, mean)
    for i in range(count):
        costs, k = priced(tables, prices, i), tables.kind[i]
        weight = np.exp((costs.min() - costs) / softness)
        value += costs.min() - softness * np.log(weight.sum())
        assert np.allclose(mean[i], curve[k, :, : tables.width[k]] @ weight / weight.sum(), rtol=1e-6, atol=1e-6)
    assert found == pytest.approx(value, rel=1e-9)


def test_the_gradient_is_that_of_differences(tables):
    """A wrong gradient would still climb, slowly and to the wrong place."""
    pricing = Pricing(tables)
    point = pricing._joined(random_prices(tables, 3)) / pricing._scale
    slope = pricing._softened(point, 500.0)[1]
    for n in range(len(point) - 2):
        step = np.zeros(len(point))
        step[n] = 1e-4
        rise = pricing._softened(point + step, 500.0)[0] - pricing._softened(point - step, 500.0)[0]
        assert rise / 2e-4 == pytest.approx(slope[n], rel=1e-3, abs=1e-2)


def test_loads_and_slack_are_what_the_options_taken_add_up_to(tables):
    """Kernels keep sums while they move instances; counted anew they are the same, to the thousandth."""
    search = Search(tables)
    at, prices = search.pricing.chosen(search.prices)
    moved = search._put_right(search._within_changes(at, prices), prices)[0]
    anew = tables.state(moved.at)
    assert (moved.drawn == anew.drawn).all()
    assert (moved.slack == anew.slack).all()
    assert moved.changes_left == anew.changes_left


def test_buying_back_ends_where_no_single_step_saves(tables):
    search = Search(tables)
    state = search._put_right(tables.started(), search.prices)[0]
    before = tables.cost(state)
    over = np.maximum(0, state.drawn - tables.room)
    for i, k in enumerate(tables.kind):
        for c in range(tables.width[k]):
            at = state.at.copy()
            at[i] = c
            other = tables.state(at)
            worse = np.maximum(0, other.drawn - tables.room) > over
            affordable = other.changes_left[0] >= min(0, state.changes_left[0])
            assert tables.cost(other) >= before or worse.any() or not affordable


def test_warming_up_compiles_all_that_a_search_needs(random_problem):
    """Nothing is compiled in a first emergency."""
    greedy.warm_up()
    parts = (kernels, load_kernels, search_kernels)
    compiled = [one for part in parts for one in vars(part).values() if hasattr(one, "signatures")]
    before = [len(kernel.signatures) for kernel in compiled]
    search = Search(tables_of(random_problem(1, instances=8, configurations=4)))
    search.run()
    assert search.pricing.packs.small
    with_whole_loads(search.tables, search.pricing, search.prices, [0])
    assert [len(kernel.signatures) for kernel in compiled] == before


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_of_the_greedy_path_is_below_the_optimum(random_problem, seed):
    """Prices, and small domains whose instances choose together, bound every plan with no more excess than greedy's."""
    problem = random_problem(seed, stage=list(Stage)[seed % 2], instances=10, configurations=4)
    plan, bound = bounded(problem)
    capped = problem.with_allowed_excess(plan.excess)
    best = highs.solve(formulate(capped, reconfiguration_classes(capped)), deadline_s=20.0, threads=1)
    assert bound <= best.objective * (1 + 2e-3) + 1e-6
    assert bound <= check(capped, plan).objective + 1e-6


def test_a_few_instances_choose_together_what_a_double_loop_would(tables):
    """Branch and bound against all combinations, for the first three instances of each domain."""
    pricing, prices = Pricing(tables), random_prices(tables, 4)
    rate, curve = pricing.rates(prices), tables.option.astype(float)
    for d in range(len(tables.room) - 1):
        here = np.ascontiguousarray(tables.instance_of[tables.first_of[d] : tables.first_of[d + 1]][:3])
        price = float(prices.domain[d]) / 1000
        costs = [priced(tables, prices, i) for i in here]
        loads = [np.array([load_on(tables, i, c, d) for c in range(tables.width[tables.kind[i]])]) for i in here]
        room = int(0.7 * sum(load.max() for load in loads))
        best = min(
            (
                sum(cost[c] - price * load[c] for cost, load, c in zip(costs, loads, chosen, strict=True))
                for chosen in product(*(range(len(cost)) for cost in costs))
                if sum(load[c] for load, c in zip(loads, chosen, strict=True)) <= room
            ),
            default=None,
        )
        alone = sum(cost.min() for cost in costs) - price * room
        at = np.zeros(len(tables.kind), dtype=np.int64)
        more = kernels.packed(tables.kind, tables.width, curve, tables.place, rate, here, d, room, price, at)
        assert more == pytest.approx(np.inf if best is None else max(0.0, best - alone), abs=1e-6)


def load_on(tables, i, c, domain):
    """Thousandths that an option of an instance puts on a domain."""
    k = tables.kind[i]
    watts, air = int(tables.option[k, kernels.POWER, c]), int(tables.option[k, kernels.AIRFLOW, c])
    return sum(int(per_watt) * watts + int(per_cfm) * air for d, per_watt, per_cfm in tables.place[i] if d == domain)

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint, Mode
from tapas_opt.errors import NotFound
from tapas_opt.routing.greedy import greedy
from tapas_opt.routing.pick import Alias, LengthThresholds, request_class_of, routing_table
from tapas_opt.routing.problem import RoutingPlan

CHI_SQUARE_9_AT_1_IN_1000 = 27.9
"""The 0.999 quantile for 9 degrees of freedom (any table of the distribution)."""


def table_of(problem, plan=None, **more):
    return routing_table(problem, plan, snapshot="s1", created_at_s=0.0, **more)


def test_an_alias_table_draws_in_proportion_to_weights():
    """Ten weights from 1 to 10, 20,000 draws, chi-square."""
    weights = {item: float(item + 1) for item in range(10)}
    alias, rng = Alias.of(weights), random.Random(7)
    drawn = Counter(alias.draw(rng) for _ in range(20_000))
    expected = {item: 20_000 * weight / 55 for item, weight in weights.items()}
    assert sum((drawn[i] - n) ** 2 / n for i, n in expected.items()) < CHI_SQUARE_9_AT_1_IN_1000


def test_an_alias_table_holds_the_weights_exactly():
    """What each place keeps and gives away adds up to the item's part, whatever the rounding."""
    rng = random.Random(3)
    weights = {item: rng.random() ** 4 for item in range(50)}
    alias = Alias.of(weights)
    part = dict.fromkeys(alias.items, 0.0)
    for k, item in enumerate(alias.items):
        part[item] += alias.keep[k] / len(alias.items)
        part[alias.items[alias.other[k]]] += (1.0 - alias.keep[k]) / len(alias.items)
    total = sum(weights.values())
    assert part == pytest.approx({item: weight / total for item, weight in weights.items()})


def test_without_a_plan_shares_are_greedy_and_the_table_says_so(two_rows):
    """No silent fallback."""
    table = table_of(two_rows)
    assert table.mode is Mode.GREEDY
    assert table.shares == greedy(two_rows).shares
    assert table_of(two_rows, mode=Mode.STALE_SAFE).mode is Mode.STALE_SAFE
    assert table_of(two_rows, greedy(two_rows)).mode is Mode.SOLVER


def test_instances_carry_their_goodput_while_all_demand_is_served(two_rows):
    """A forecast that is too low must not turn requests away."""
    assert table_of(two_rows).carries == (1_000.0, 1_000.0, 1_000.0)


def test_instances_carry_no_more_than_planned_where_demand_is_left_unserved(two_rows, with_limit):
    """R1 is full: giving A and B the requests that the plan turns away would break its budget.

    A token/s there is a watt, and a thousandth of the limit at a price of 10: unserved it costs more.
    """
    full = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 1_200)
    full = replace(full, prices=replace(full.prices, unserved_tokens_per_s=20))
    assert table_of(full).carries == pytest.approx((100.0, 100.0, 1_000.0))


def test_an_instance_near_its_temperature_ceiling_carries_what_its_headroom_allows(two_rows):
    """150 W are one segment of 100 W and half of the next: 750 tokens/s. Below zero it carries nothing."""
    hot = replace(two_rows, gpu_headroom_w=np.array([150, -1, 1_000]))
    assert table_of(hot).carries == (750.0, 0.0, 1_000.0)


def test_a_class_that_the_plan_gives_to_nobody_finds_spare_instances(conv_and_code):
    """Less may come of the other classes than was forecast; limits are kept by the pick."""
    plan = RoutingPlan(
        {"conv/short": {"A": 1.0}, "code/any": {"C": 1.0}}, {"conv/short": 0.0, "conv/long": 1.0, "code/any": 0.0}
    )
    assert table_of(conv_and_code, plan).classes["conv/long"].alias.items == (0,)


def test_requests_are_classed_by_length():
    """Between 100 and 1,600 tokens the band ends at 400, the geometric mean; between 50 and 200 at 100."""
    typical = [("short", 100, 50), ("chat", 100, 200), ("document", 1_600, 50), ("essay", 1_600, 200)]
    bands = LengthThresholds.between(typical)
    assert (bands.prompt_tokens, bands.output_tokens) == ((400.0,), (100.0,))
    assert bands.classes == (("short", "chat"), ("document", "essay"))


def test_lengths_that_no_class_names_go_to_the_nearest_by_ratio():
    """Two classes make four cells: (100, 800) is 16× from one in its prompt, 8× from the other in its output."""
    bands = LengthThresholds.between([("short", 100, 100), ("long", 1_600, 800)])
    assert bands.classes == (("short", "short"), ("long", "long"))


def test_the_table_keeps_the_thresholds(two_rows):
    """A band's end belongs to it; an endpoint without thresholds is an error that says so."""
    bands = LengthThresholds.between([("short", 100, 100), ("long", 1_600, 1_600)])
    table = table_of(two_rows, thresholds={"conv": bands})
    assert request_class_of(table, "conv", 400, 100) == "short"
    assert request_class_of(table, "conv", 401, 1_600) == "long"
    with pytest.raises(NotFound, match="no length thresholds"):
        request_class_of(table, "code", 1, 1)


def test_a_table_from_any_plan_draws_only_open_instances(random_problem):
    """Whatever is drawn may be filtered, but nothing closed is offered in the first place: 50 seeds."""
    for seed in range(50):
        problem = random_problem(seed)
        table = table_of(problem)
        for found in table.classes.values():
            for i in found.alias.items if found.alias else ():
                assert problem.open_instances[i]
                assert table.endpoint_of[i] == found.endpoint

"""VMs trade places so that the worst failure costs less."""

from __future__ import annotations

import pytest

from tapas_opt.placement import trading
from tapas_opt.placement.check import check
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.trading import class_of_plan, traded
from tapas_opt.placement.trading_kernels import trade
from tapas_opt.placement.trading_numbers import booked, terms_of

FEW = 300


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch):
    monkeypatch.setattr(trading, "LEAST_TRIES", FEW)


@pytest.mark.parametrize("seed", range(25))
def test_a_plan_after_trading_keeps_all_limits_and_is_no_dearer(seed, random_survival):
    problem = random_survival(seed, vms=9, servers=8, types=3, hours=4)
    plan = greedy(problem)
    better = traded(problem, placement_classes(problem), plan)
    report = check(problem, better)
    assert report.ok
    assert report.objective <= check(problem, plan).objective


@pytest.mark.parametrize("seed", range(25))
def test_the_book_is_what_booking_everything_anew_gives(seed, random_survival):
    """Changes that were taken back, too, leave nothing behind."""
    problem = random_survival(seed, vms=9, servers=8, types=3, hours=4)
    if not problem.survival.parts:
        return  # one in five: the batch could break nothing
    classes = placement_classes(problem)
    terms, empty = terms_of(problem, classes, problem.survival)
    book = booked(terms, empty, class_of_plan(problem, classes, greedy(problem)))
    trade(terms, book, FEW, 1_000.0, seed)
    anew = booked(terms, empty, book.class_of)
    for name in ("left", "drawn", "spare", "given", "row_cost", "cell_cost", "held", "kept", "used"):
        assert (getattr(book, name) == getattr(anew, name)).all(), name


def test_the_same_seed_gives_the_same_plan(random_survival):
    problem = random_survival(3, vms=9, servers=8, types=3, hours=4)
    classes, plan = placement_classes(problem), greedy(problem)
    assert traded(problem, classes, plan, seed=5) == traded(problem, classes, plan, seed=5)


def test_some_greedy_plans_are_bettered(random_survival):
    """Otherwise the tests above would claim nothing."""
    gained = 0
    for seed in range(12):
        problem = random_survival(seed, vms=9, servers=8, types=3, hours=4)
        plan = greedy(problem)
        better = traded(problem, placement_classes(problem), plan)
        gained += check(problem, better).objective < check(problem, plan).objective
    assert gained >= 3

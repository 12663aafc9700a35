"""The judge of the shared budgets."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.budgets.check import add_up, binding_budgets, budget_violations, loads
from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Binding, Constraint, Violation

NO_AIR = np.zeros((6, 1), dtype=np.int64)


def test_a_violation_names_domain_and_watts(two_rows, at_3_kw):
    """S1 draws 3,600 W beyond its 3,000 W: K1 stands at 6,600 of 6,500 W; all else has room."""
    draw = np.array([[3_600], [0], [0], [0], [0], [0]])
    violations = list(budget_violations(at_3_kw(two_rows), draw, NO_AIR))
    assert violations == [Violation(Constraint.RACK_POWER_BUDGET, "K1", 100.0, "W")]


def test_the_worst_slot_is_named(thirds):
    """334 ‰ of 3,500 W are 1,169 W of 1,000 W in the second slot, 1,002 W in the first: t1 is 169 W over."""
    found = list(budget_violations(BudgetNumbers(("t0", "t1"), (thirds,)), np.array([[3_000, 3_500]]), NO_AIR[:1]))
    assert found == [Violation(Constraint.UPS_POWER_CAPACITY, f"U{u} in t1", 169.0, "W") for u in (1, 2, 3)]


def test_declared_excess_is_accepted_and_no_more(two_rows, at_3_kw):
    """A hopeless emergency owns up to its watts: 100 W declared cover 6,600 W on K1, 99 W do not."""
    draw = np.array([[3_600], [0], [0], [0], [0], [0]])
    key = (Constraint.RACK_POWER_BUDGET, "K1")
    assert not list(budget_violations(at_3_kw(two_rows), draw, NO_AIR, {key: 100.0}))
    assert [v.excess for v in budget_violations(at_3_kw(two_rows), draw, NO_AIR, {key: 99.0})] == [1.0]


def test_a_load_that_is_not_a_number_is_refused(thirds):
    """NaN compares false with everything; a checker that asks "is it more?" would let it pass."""
    numbers = BudgetNumbers(("t0", "t1"), (thirds,))
    assert len(list(budget_violations(numbers, np.array([[np.nan, 0.0]]), NO_AIR[:1]))) == 3


def test_budgets_with_two_per_cent_left_bind(two_rows, at_3_kw):
    """3,400 W more put K1 at 6,400 of 6,500 W: 100 W are less than 2 % (130 W); every other budget has more."""
    draw = np.array([[3_400], [0], [0], [0], [0], [0]])
    assert list(binding_budgets(at_3_kw(two_rows), draw, NO_AIR)) == [
        Binding(Constraint.RACK_POWER_BUDGET, "K1", 100.0, "W")
    ]


def test_a_lost_ups_binds_nothing(two_rows, one_ups_failed, at_3_kw):
    """U1 has a capacity of 0 W and carries 0 W: true, and no news."""
    assert not list(binding_budgets(at_3_kw(two_rows, one_ups_failed), np.zeros((6, 1), dtype=int), NO_AIR))


@pytest.mark.parametrize("seed", range(20))
def test_the_checkers_sum_is_that_of_the_arrays(seed, random_numbers):
    """Server by server in plain loops, or all at once: the same thousandths."""
    draw = np.random.default_rng(seed).integers(0, 7_000, (6, 2))
    for family in random_numbers(seed).families:
        assert (loads(family, draw) == family.base + family.drawn_permille(draw) / 1000).all()


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_added_up_as_one_by_one(seed):
    """Nothing at all, numbers named often, and tables of more than two axes."""
    rng = np.random.default_rng(seed)
    of, rows = rng.integers(0, 4, 7 * seed), rng.integers(0, 99, (7 * seed, 2, 3))
    total, expected = np.ones((5, 2, 3), dtype=np.int64), np.ones((5, 2, 3), dtype=np.int64)
    add_up(total, of, rows)
    for n, row in zip(of.tolist(), rows, strict=True):
        expected[n] += row
    assert (total == expected).all()

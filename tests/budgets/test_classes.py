"""Which servers are interchangeable."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.budgets.classes import classes_of
from tapas_opt.budgets.numbers import BudgetNumbers

NOTHING = BudgetNumbers(("now",), ())


def test_servers_are_alike_when_domains_shares_and_keys_are(two_rows, at_3_kw):
    """S1 to S6 hang on six UPS pairs: all differ; two VMs on S1 are alike."""
    numbers = at_3_kw(two_rows)
    assert classes_of(numbers, np.arange(6)).count == 6
    assert classes_of(numbers, np.array([0, 0, 3])).of.tolist() == [0, 0, 1]


def test_classes_are_numbered_as_their_first_members_appear():
    """So that a class keeps its name when a later server changes: 7 comes first, then 3, then 5."""
    classes = classes_of(NOTHING, np.arange(5), np.array([7, 3, 7, 5, 3]))
    assert classes.of.tolist() == [0, 1, 0, 2, 1]
    assert classes.first.tolist() == [0, 1, 3]
    assert classes.size.tolist() == [2, 2, 1]
    assert classes.members(1).tolist() == [1, 4]


def test_keys_may_have_columns():
    """A VM's key is its type, priority and group side by side."""
    assert classes_of(NOTHING, np.arange(3), np.array([[1, 2], [1, 3], [1, 2]])).of.tolist() == [0, 1, 0]


def test_without_keys_all_are_alike_and_nothing_has_no_classes():
    """An empty batch and a site without budgets are ordinary inputs."""
    assert classes_of(NOTHING, np.arange(3)).of.tolist() == [0, 0, 0]
    assert classes_of(NOTHING, np.arange(0), np.zeros(0, dtype=int)).count == 0


def test_keys_too_wide_to_be_put_together_as_they_are_are_still_told_apart():
    """Each key spans 2^61: three of them do not fit one number unless they are ranked first."""
    keys = np.array([[0, 2**61, 5], [2**61, 0, 2**61], [0, 2**61, 6], [2**61, 0, 2**61], [0, 2**61, 5]])
    assert classes_of(NOTHING, np.arange(5), keys).of.tolist() == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("seed", range(10))
def test_items_are_alike_exactly_where_all_their_keys_are(seed):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 3, (40, 4)) * rng.integers(1, 2**60, 4)
    of = classes_of(NOTHING, np.arange(40), keys).of
    assert ((of[:, None] == of) == (keys[:, None] == keys).all(axis=2)).all()


def test_keys_without_end_are_told_apart_as_others_are():
    """An instance's delay is without end where no knob acts."""
    keys = np.array([[0.5, np.inf], [np.inf, np.inf], [0.5, np.inf], [0.5, 2.0]])
    assert classes_of(NOTHING, np.arange(4), keys).of.tolist() == [0, 1, 0, 2]

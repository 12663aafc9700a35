"""Conformal margins, day maxima and the split by days."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.learn.fitting.margin import conformal_upper, coverage, day_maxima, upper_of_days
from tapas_opt.learn.fitting.split import split_days


def test_with_enough_scores_the_margin_is_the_conformal_rank():
    """199 scores at 99 %: ⌈200·0.99⌉ = the 198th smallest."""
    assert conformal_upper(np.arange(1.0, 200.0), 0.99) == 198.0


def test_with_few_scores_the_margin_lies_above_all_of_them():
    """A week has no 99th percentile; the normal prediction bound stands in: t(0.99, 6) = 3.14, √(1 + 1/7) = 1.07."""
    week = np.arange(7.0)
    assert conformal_upper(week, 0.99) == pytest.approx(3.0 + 3.1427 * week.std(ddof=1) * 1.0690, rel=1e-4)
    assert conformal_upper(np.array([2.0]), 0.99) == 4.0


def test_new_scores_stay_below_the_margin_as_often_as_promised():
    rng = np.random.default_rng(0)
    covered = [rng.normal() <= conformal_upper(rng.normal(size=n), 0.9) for n in (5, 20, 200) for _ in range(1_000)]
    assert np.mean(covered) >= 0.89


def test_nothing_to_calibrate_on_is_said():
    with pytest.raises(InvalidInput, match="hold no reading"):
        conformal_upper(np.array([np.nan]), 0.99)


def test_a_day_without_reading_has_no_maximum():
    worst = day_maxima(np.array([1.0, 3.0, np.nan, np.nan, -2.0, np.nan]), np.array([0, 0, 1, 1, 2, 2]))
    assert np.array_equal(worst, [3.0, np.nan, -2.0], equal_nan=True)
    assert coverage(worst, 0.0) == 0.5


@pytest.mark.parametrize(
    ("days", "expected"),
    [(4, (2, 1, 1)), (5, (2, 1, 2)), (8, (4, 2, 2)), (22, (11, 5, 6)), (28, (14, 7, 7)), (40, (14, 7, 19))],
)
def test_days_are_split_in_order(days, expected):
    split = split_days(np.arange(days))
    parts = (split.fit, split.calibrate, split.judge)
    assert tuple(int(part.sum()) for part in parts) == expected
    assert np.flatnonzero(np.concatenate(parts)).size == days
    assert np.flatnonzero(split.fit).max() < np.flatnonzero(split.calibrate).min() < np.flatnonzero(split.judge).min()


def test_a_margin_over_days_covers_the_worst_of_them():
    """Three days of 199 scores each, one of them higher by 10: its own 198th smallest, and not the pool's."""
    days = np.stack([np.arange(1.0, 200.0) + shift for shift in (0.0, 10.0, -5.0)])
    assert upper_of_days(days, 0.99) == 208.0
    assert upper_of_days(np.vstack([days, np.full(199, np.nan)]), 0.99) == 208.0
    with pytest.raises(InvalidInput, match="hold no reading"):
        upper_of_days(np.full((2, 3), np.nan), 0.99)


def test_a_last_day_that_had_hardly_begun_is_no_day():
    """Eight days and five minutes are eight days: four to fit, two to calibrate; the rest judges."""
    split = split_days(np.append(np.repeat(np.arange(8), 288), 8))
    assert split.fit.sum() == 4 * 288
    assert split.calibrate.sum() == 2 * 288
    with pytest.raises(InvalidInput, match="covers 3 days"):
        split_days(np.append(np.repeat(np.arange(3), 288), 3))

"""Bias and slopes followed together, and a bound that keeps its share whatever happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.learn.slope_tracker import AdaptiveUpper, SlopeSettings, SlopeTracker

HOUR_S = 3600.0
SETTINGS = SlopeSettings(
    bias_var_per_s=0.05 / HOUR_S,
    slope_var_per_s=1e-3 / HOUR_S,
    prior_slope_var=1.0,
    measurement_var=0.04,
    change_frac=0.0,
    longest_gap_s=48 * HOUR_S,
    gate=3.0,
)


def followed(slopes_of_time, *, start, settings=SETTINGS, hours=2000, seed=1):
    """Errors over time of a tracker whose truth has the given bias and slope at each hour."""
    rng = np.random.default_rng(seed)
    tracker = SlopeTracker(np.array([start]), settings)
    errors = []
    for i in range(hours):
        bias, slope = slopes_of_time(i)
        x = rng.normal(0, 1, 1)
        central, _ = tracker.predict(i * HOUR_S, x)
        reading = bias + slope * x[0] + rng.normal(0, 0.2)
        errors.append(reading - central)
        tracker.update(i * HOUR_S, x, reading)
    return np.array(errors)


def test_a_slope_that_is_not_what_it_was_is_learned_anew():
    """Another card: 3 °C per unit of input instead of 1; a bias alone would stay 1.6 °C off on average."""
    errors = np.abs(followed(lambda i: (30.0, 1.0 if i < 1000 else 3.0), start=1.0))
    assert errors[1000:1010].mean() > 1.0
    assert errors[1200:].mean() < 0.3


def test_a_wandering_bias_is_followed():
    errors = np.abs(followed(lambda i: (30.0 + 5 * np.sin(i / 100), 2.0), start=2.0))
    assert errors[1] < 6.0
    assert errors[50:].mean() < 0.3


def test_one_absurd_reading_moves_little():
    """Without a gate 40 °C too much would move the bias by about half of that."""

    def next_error(gate):
        tracker = SlopeTracker(np.array([1.0]), replace(SETTINGS, gate=gate))
        for i in range(200):
            tracker.update(i * HOUR_S, np.array([float(i % 2)]), 30.0 + i % 2)
        tracker.update(200 * HOUR_S, np.array([0.0]), 70.0)
        return abs(tracker.predict(201 * HOUR_S, np.array([0.0]))[0] - 30.0)

    assert next_error(3.0) < 2.0
    assert next_error(1e9) > 10.0


def test_silence_and_change_make_a_prediction_less_certain():
    tracker = SlopeTracker(np.array([2.0]), replace(SETTINGS, change_frac=0.01))
    for i in range(200):
        tracker.update(i * HOUR_S, np.array([float(i % 3)]), 30.0 + 2.0 * (i % 3))
    soon, late, never = (tracker.predict((199 + h) * HOUR_S, np.array([1.0]))[1] for h in (1, 24, 10_000))
    assert soon < late < never
    assert tracker.predict((199 + 48) * HOUR_S, np.array([1.0]))[1] == pytest.approx(never)
    assert tracker.predict(200 * HOUR_S, np.array([9.0]))[1] > 2 * soon


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_missed_as_often_as_promised_even_when_scores_grow(seed):
    """Scores double halfway; a bound of fixed rank on the last 2,000 would be missed far more often at first."""
    rng = np.random.default_rng(seed)
    bound, missed = AdaptiveUpper(0.99, window=2000), []
    for i in range(12_000):
        score = rng.standard_t(5) * (1.0 if i < 6000 else 2.0)
        missed.append(score > bound.value)
        bound.update(score)
    assert np.mean(missed[200:]) == pytest.approx(0.01, abs=0.004)


def test_the_bound_is_wide_before_it_knows_anything():
    bound = AdaptiveUpper(0.99, window=100, first=4.0)
    assert bound.value == 4.0
    bound.update(7.0)
    assert bound.value == 7.0
    for _ in range(1000):
        bound.update(0.5)
    assert bound.value == 0.5

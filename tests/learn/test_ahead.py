"""The next reading from the last one."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.learn.ahead import AheadModel, deviations, tracked
from tapas_opt.learn.fitting.ahead import fit_ahead, settings_of_gain

DAY_S = 86_400.0
ROOMS = np.array([0, 0, 0, 1])


def test_deviations_are_from_the_own_bias_and_from_what_the_room_does():
    """Room 0 deviates by 1, 2 and 4: its middle is 2; room 1 has one sensor, which is its own middle."""
    own = np.array([[1.0, 2.0, 4.0, -3.0]])
    x = deviations(own + 0.5, np.full((1, 4), 0.5), ROOMS, bend=1.5)
    assert x[0, :, 0].tolist() == [1.0, 1.5, 1.5, -1.5]
    assert x[0, :, 1].tolist() == [1.0, 2.0, 4.0, -3.0]
    assert x[0, :, 2].tolist() == [1.5, 1.5, 1.5, -1.5]
    assert x[0, :, 3].tolist() == [2.0, 2.0, 2.0, -3.0]


def test_the_next_residual_is_the_last_less_what_goes_back():
    """3 above the usual: −0.2·clip(3, ±1) − 0.1·3 = −0.5; the room moves with its only sensor: +0.1·1 + 0.05·3."""
    model = AheadModel(settings_of_gain(0.3, 1.0, DAY_S), 1.0, (-0.2, -0.1, 0.1, 0.05), 0.01)
    ahead = model.next_residual(np.array([[5.0]]), np.array([[2.0]]), np.array([0]))
    assert ahead == pytest.approx(5.0 - 0.5 + 0.25 + 0.01)


def test_no_reading_now_says_nothing_of_the_next():
    model = AheadModel(settings_of_gain(0.3, 1.0, DAY_S), 1.0, (-0.2, -0.1, 0.1, 0.05), 0.0)
    ahead = model.next_residual(np.array([[np.nan, 1.0, 1.0, 1.0]]), np.zeros((1, 4)), ROOMS)
    assert np.isnan(ahead).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("gain", [0.1, 0.3, 0.5])
def test_a_settled_tracker_takes_over_the_gain_asked_for(gain):
    settings = settings_of_gain(gain, 1.7, DAY_S)
    assert settings.settled_var / (settings.settled_var + settings.measurement_var) == pytest.approx(gain)
    assert settings.prior_var == pytest.approx(1.7**2)


def wandering(days=400, sensors=30, seed=2):
    """A slow walk of each sensor, with a disturbance on top of which half is gone by the next day."""
    rng = np.random.default_rng(seed)
    slow = np.cumsum(rng.normal(0, 0.05, (days, sensors)), axis=0) + rng.normal(0, 3, sensors)
    passing = np.zeros((days, sensors))
    for k in range(1, days):
        passing[k] = 0.5 * passing[k - 1] + rng.laplace(0, 0.5, sensors)
    return slow + passing


def test_what_goes_back_is_learned_and_beats_the_last_reading():
    """Knowing the walk, 0.50 were possible; the last reading alone errs by some 0.6 °C."""
    residual = wandering()
    t_s, room = DAY_S * np.arange(400), np.zeros(30, dtype=np.int64)
    model = fit_ahead(residual[:300], t_s[:300], room)
    ahead = model.next_residual(residual, tracked(residual, t_s, model.settings), room)
    error = np.abs(residual[300:] - ahead[299:-1]).mean()
    assert error < 0.92 * np.abs(np.diff(residual[299:], axis=0)).mean()
    assert model.slopes[0] + model.slopes[1] < -0.2


def test_where_nothing_goes_back_the_last_reading_is_kept():
    """Of a pure random walk the last value is the best forecast."""
    rng = np.random.default_rng(4)
    residual = np.cumsum(rng.normal(0, 1, (300, 20)), axis=0)
    model = fit_ahead(residual, DAY_S * np.arange(300), np.zeros(20, dtype=np.int64))
    assert np.abs(model.slopes).max() < 0.15


def test_nothing_to_learn_from_is_said():
    residual = np.full((10, 2), np.nan)
    residual[::2] = 1.0
    with pytest.raises(InvalidInput, match="two in a row"):
        fit_ahead(residual, DAY_S * np.arange(10), np.zeros(2, dtype=np.int64))

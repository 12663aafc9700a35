"""Weather from a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.plant.weather import DAY_S, Weather

HOURS = np.arange(0.0, 90 * DAY_S, 3600.0)


def season(seed: int = 1) -> np.ndarray:
    weather = Weather(seed)
    return np.array([weather.outdoor_c(t_s) for t_s in HOURS])


def test_the_same_seed_gives_the_same_weather_in_any_order():
    """A drill that starts on day 28 must meet the weather that the history would have had."""
    weather = Weather(5)
    late, early = weather.outdoor_c(28 * DAY_S), weather.outdoor_c(0.0)
    assert (Weather(5).outdoor_c(0.0), Weather(5).outdoor_c(28 * DAY_S)) == (early, late)
    assert Weather(6).outdoor_c(0.0) != early


def test_afternoons_are_warmer_than_nights_and_days_differ():
    """Swing of 9 K with its top at 15 h; daily means scatter by the fronts' 3 K or so."""
    by_day = season().reshape(90, 24)
    profile = by_day.mean(axis=0)
    assert profile.argmax() in (14, 15, 16)
    assert np.ptp(profile) == pytest.approx(9.0, abs=1.0)
    assert 1.5 < by_day.mean(axis=1).std() < 4.5


def test_it_resembles_a_real_temperate_summer(dataset):
    """July of typical years in New York and Virginia: mean, spread and daily swing within 5, 2.5 and 5 K."""
    table = pd.read_csv(dataset("weather-hourly/typical_year.csv.gz"))
    made = season()
    for place in ("USA_NY_New.York-LaGuardia", "USA_VA_Leesburg.Exec"):
        real = table[(table.place == place) & (table.month == 7)].dry_bulb_c.to_numpy().reshape(31, 24)
        assert made.mean() == pytest.approx(real.mean(), abs=5.0)
        assert made.std() == pytest.approx(real.std(), abs=2.5)
        swing = np.ptp(made.reshape(90, 24), axis=1).mean()
        assert swing == pytest.approx(np.ptp(real, axis=1).mean(), abs=5.0)

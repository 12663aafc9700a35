"""Real weather by the hour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.weather import DAY_S
from tapas_opt.plant.weather_file import HourlyWeather, read_weather


@pytest.fixture
def table(tmp_path):
    """Two places, three days of hours: Hill is 10 °C by day and night, Vale warms by a degree every hour."""
    path = tmp_path / "weather.csv"
    hours = np.arange(72)
    hill = pd.DataFrame({"place": "Hill", "hour": hours, "dry_bulb_c": 10.0})
    vale = pd.DataFrame({"place": "Vale", "hour": hours, "dry_bulb_c": hours * 1.0 - 20.0})
    pd.concat([hill, vale]).to_csv(path, index=False)
    return path


def test_between_two_hours_it_is_between_their_temperatures(table):
    """From −20 °C on, a kelvin an hour: −9.5 °C at half past ten."""
    assert read_weather(table, "Vale").outdoor_c(10.5 * 3600.0) == pytest.approx(-9.5)
    assert read_weather(table, "Hill").outdoor_c(0.0) == 10.0


def test_a_run_longer_than_the_weather_is_refused_before_it_begins(table):
    """Weather is never made up: neither after the last hour (71) nor before the first."""
    weather = read_weather(table, "Vale")
    weather.check_covers(0.0, 71 * 3600.0)
    for start_s, end_s in ((0.0, 3 * DAY_S), (-1.0, 3600.0)):
        with pytest.raises(InvalidInput, match=r"knows days 0.00 to 2.96, the run is from day .*; give a longer table"):
            weather.check_covers(start_s, end_s)
    with pytest.raises(InvalidInput):
        weather.outdoor_c(3 * DAY_S)


def test_a_run_may_begin_on_any_day(table):
    """The last of three days begins at 28 °C and has 23 hours left."""
    weather = read_weather(table, "Vale").from_day(2)
    assert weather.outdoor_c(0.0) == 28.0
    assert weather.end_s == 23 * 3600.0


def test_the_hottest_days_are_found():
    """Of four days at 10, 30, 20 and 25 °C the second is the hottest, and with it the hottest two and three begin."""
    weather = HourlyWeather(np.append(np.repeat([10.0, 30.0, 20.0, 25.0], 24), 25.0))
    assert [weather.hottest_day(days) for days in (1, 2, 3, 4)] == [1, 1, 1, 0]
    with pytest.raises(InvalidInput, match="has 4 whole days, 5 are asked for"):
        weather.hottest_day(5)


@pytest.mark.parametrize(
    ("change", "place", "fault"),
    [
        (lambda t: t, None, "place: none was named: must be one of Hill, Vale"),
        (lambda t: t, "Dale", "place: Dale: must be one of Hill, Vale"),
        (lambda t: t.drop(columns="dry_bulb_c"), "Hill", "has none of outdoor_c, dry_bulb_c, temperature_2m_c"),
        (lambda t: t.drop(columns="hour"), "Hill", "has none of hour, t_s, time_local"),
        (lambda t: t.drop(columns="place"), "Hill", "place: Hill: the table has no column place"),
        (lambda t: t.drop(index=5), "Hill", "row 6: does not follow an hour after the row before it"),
        (lambda t: t.replace(10.0, np.nan), "Hill", "dry_bulb_c, row 1: nan is no outdoor temperature"),
        (lambda t: t.astype({"dry_bulb_c": object}).replace(10.0, "warm"), "Hill", "row 1: warm is no outdoor temp"),
        (lambda t: t.astype({"hour": object}).replace({"hour": {5: "noon"}}), "Hill", "hour, row 6: noon is no time"),
        (lambda t: t.rename(columns={"hour": "time_local"}).astype({"time_local": str}), "Hill", "is no time"),
        (lambda t: t.head(1), "Hill", "dry_bulb_c: 1 hours: two are needed at least"),
    ],
)
def test_a_table_that_is_not_hourly_weather_is_refused(table, change, place, fault):
    """One clear sentence that names the column or the row."""
    change(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(InvalidInput, match=fault):
        read_weather(table, place)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    """Missing, or something else under the name of a table."""
    (tmp_path / "x.parquet").write_text("no", encoding="utf-8")
    for name in ("none.csv", "x.parquet"):
        with pytest.raises(InvalidInput, match="file: cannot be read as a table"):
            read_weather(tmp_path / name)


def test_published_places_are_read_and_heat_the_room(dataset, two_rows_topology):
    """A typical year and an archive; the hottest week in Phoenix warms inlets more than the coolest in Seattle."""
    year = dataset("weather-hourly/typical_year.csv.gz")
    phoenix = read_weather(year, "USA_AZ_Phoenix-Sky.Harbor")
    assert len(phoenix.hourly_c) == 8760
    assert phoenix.hourly_c.max() == pytest.approx(45.6, abs=0.05)
    assert 150 < phoenix.hottest_day(7) < 240, "between June and August"
    archive = read_weather(dataset("weather-hourly/historical.parquet"), "SG")
    assert len(archive.hourly_c) == 2 * 8760
    seattle = read_weather(year, "USA_WA_Seattle-Tacoma")
    hot = phoenix.from_day(phoenix.hottest_day(7))
    inlets = []
    for weather in (hot, seattle):
        plant = Plant(two_rows_topology, seed=1, start_s=15 * 3600.0, outdoor=weather.outdoor_c)
        inlets.append(plant.step(3600.0, plant.idle_demand()).inlet_c.mean())
    assert inlets[0] > inlets[1] + 6.0

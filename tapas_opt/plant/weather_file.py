"""Real outdoor temperature by the hour, from a table on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HourlyWeather", "read_weather"]

FloatArray = NDArray[np.float64]

HOUR_S = 3600.0
DAY_H = 24

TEMPERATURES = ("outdoor_c", "dry_bulb_c", "temperature_2m_c")
"""Columns that may hold the temperature (°C): ours, those of typical years, those of the Open-Meteo archive."""


class HourlyWeather:
    """Outdoor temperature between hourly values, linear from one to the next.

    Parameters
    ----------
    hourly_c
        ``[H]`` temperatures (°C), an hour apart.
    start_s
        Time of the first.
    name
        Where it is from, for what is said about it.
    """

    def __init__(self, hourly_c: FloatArray, *, start_s: float = 0.0, name: str = "weather") -> None:
        self.hourly_c = np.asarray(hourly_c, dtype=np.float64)
        self.start_s = start_s
        self._name = name

    @property
    def end_s(self) -> float:
        """Time of the last value."""
        return self.start_s + (len(self.hourly_c) - 1) * HOUR_S

    def check_covers(self, start_s: float, end_s: float) -> None:
        """Raise unless it knows every moment of a run, before the run begins.

        Raises
        ------
        InvalidInput
            It starts later or ends earlier.
        """
        if not self.start_s <= start_s <= end_s <= self.end_s:
            days = [f"{moment / HOUR_S / DAY_H:.2f}" for moment in (self.start_s, self.end_s, start_s, end_s)]
            what = f"knows days {days[0]} to {days[1]}, the run is from day {days[2]} to {days[3]}"
            raise InvalidInput.one(self._name, "weather", f"{what}; give a longer table or simulate less")

    def outdoor_c(self, t_s: float) -> float:
        """Outdoor temperature in °C at ``t_s``.

        Raises
        ------
        InvalidInput
            If that is outside what it knows: weather is never made up.
        """
        self.check_covers(t_s, t_s)
        place = (t_s - self.start_s) / HOUR_S
        first = min(int(place), len(self.hourly_c) - 2)
        before, after = self.hourly_c[first], self.hourly_c[first + 1]
        return float(before + (place - first) * (after - before))

    def from_day(self, day: int) -> HourlyWeather:
        """The same weather, with midnight of its day number ``day`` (from 0) at time 0."""
        return HourlyWeather(self.hourly_c[day * DAY_H :], name=self._name)

    def hottest_day(self, days: int) -> int:
        """The day with which the hottest stretch of so many days begins.

        Raises
        ------
        InvalidInput
            It does not know as many days.
        """
        whole = (len(self.hourly_c) - 1) // DAY_H
        if not 0 < days <= whole:
            what = f"has {whole} whole days, {days} are asked for; a day ends with the midnight after it"
            raise InvalidInput.one(self._name, "weather", what)
        total = np.concatenate([[0.0], np.cumsum(self.hourly_c)])[::DAY_H]
        return int(np.argmax(total[days : whole + 1] - total[: whole + 1 - days]))


def read_weather(path: Path, place: str | None = None) -> HourlyWeather:
    """Read hourly temperatures from a CSV or parquet table.

    The table has one row an hour in order of time, from a midnight on, local time, and a column of temperatures: one
    of :data:`TEMPERATURES`. With a column ``place`` it may hold several places, of which one is chosen. Such tables
    are the typical years and the archives of the public data sets that the documentation names.

    Raises
    ------
    InvalidInput
        Listing all faults: the file cannot be read, has no such column or place, gaps, or hours out of order.
    """
    table = _table(path)
    table = _of_place(path, table, place)
    column = next((name for name in TEMPERATURES if name in table), None)
    if column is None:
        raise InvalidInput.one(
            str(path), "columns", f"has none of {', '.join(TEMPERATURES)}: which is the temperature?"
        )
    hourly_c = _numbers(table[column])
    faults = [*_order_faults(table), *_value_faults(table[column], hourly_c)]
    if faults:
        raise InvalidInput(str(path), faults)
    return HourlyWeather(hourly_c, name=str(path))


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415  only runs with real weather need it

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read as a table: {error}") from error


def _of_place(path: Path, table: pd.DataFrame, place: str | None) -> pd.DataFrame:
    if "place" not in table:
        if place is not None:
            raise InvalidInput.one(str(path), "place", f"{place}: the table has no column place")
        return table
    known = sorted(map(str, table["place"].unique()))
    if place is None and len(known) == 1:
        return table
    if place not in known:
        asked = "none was named" if place is None else place
        raise InvalidInput.one(str(path), "place", f"{asked}: must be one of {', '.join(known)}")
    return table[table["place"] == place]


def _order_faults(table: pd.DataFrame) -> list[Fault]:
    """Hours must follow each other, by whichever column says when."""
    column = next((name for name in _TIMES if name in table), None)
    if column is None:
        return [Fault("columns", f"has none of {', '.join(_TIMES)}: when was what measured?")]
    hours = _TIMES[column](table[column])
    unread = np.flatnonzero(~np.isfinite(hours))
    if unread.size:
        return [Fault(f"{column}, row {unread[0] + 1}", f"{table[column].iloc[unread[0]]} is no time")]
    wrong = np.flatnonzero(np.abs(np.diff(hours) - 1.0) > 1e-6)
    return [Fault(f"row {wrong[0] + 2}", "does not follow an hour after the row before it")] if wrong.size else []


def _value_faults(raw: pd.Series, hourly_c: FloatArray) -> list[Fault]:
    faults = [] if len(hourly_c) >= 2 else [Fault(str(raw.name), f"{len(hourly_c)} hours: two are needed at least")]
    wrong = np.flatnonzero(~((hourly_c > -90.0) & (hourly_c < 60.0)))
    if wrong.size:
        where = f"{raw.name}, row {wrong[0] + 1}"
        faults.append(Fault(where, f"{raw.iloc[wrong[0]]} is no outdoor temperature in °C"))
    return faults


def _numbers(column: pd.Series) -> FloatArray:
    """Its values; NaN for what is no number."""
    import pandas as pd  # noqa: PLC0415  only runs with real weather need it

    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)


def _hours_of_moments(column: pd.Series) -> FloatArray:
    """Its moments in hours since the first of 1970; NaN for what is none."""
    import pandas as pd  # noqa: PLC0415  only runs with real weather need it

    moments = pd.to_datetime(column.astype(str), errors="coerce", format="ISO8601", utc=True)
    hours = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)
    return np.asarray(hours, dtype=np.float64)


_TIMES: Mapping[str, Callable[[pd.Series], FloatArray]] = {
    "hour": _numbers,
    "t_s": lambda column: _numbers(column) / HOUR_S,
    "time_local": _hours_of_moments,
}
"""Columns that may say when, the first that is there counts; and how each is read as hours."""

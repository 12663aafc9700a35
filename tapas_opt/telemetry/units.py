"""Units of the world outside, turned into those of the schema."""

from __future__ import annotations

from dataclasses import dataclass

from tapas_opt.domain.history import TABLES, Column

__all__ = ["FAN_UNITS", "UNITS", "Unit", "column_of", "unit_fault"]

CFM_PER_M3_S = 2118.880003
"""Cubic feet a minute in one cubic metre a second: 60 / 0.3048³."""


@dataclass(frozen=True, slots=True)
class Unit:
    """``reading × scale + offset`` is the reading in the schema's unit, whose ending in names is ``ending``."""

    ending: str
    scale: float = 1.0
    offset: float = 0.0

    def inside(self, reading: float) -> float:
        """Turn a reading of this unit into one of the schema's."""
        return reading * self.scale + self.offset

    def outside(self, reading: float) -> float:
        """Turn a reading of the schema's unit into one of this unit."""
        return (reading - self.offset) / self.scale


UNITS: dict[str, Unit] = {
    "C": Unit("c"),
    "F": Unit("c", 5.0 / 9.0, -160.0 / 9.0),
    "K": Unit("c", 1.0, -273.15),
    "W": Unit("w"),
    "mW": Unit("w", 1e-3),
    "kW": Unit("w", 1e3),
    "MW": Unit("w", 1e6),
    "frac": Unit("frac"),
    "%": Unit("frac", 0.01),
    "cfm": Unit("cfm"),
    "l/s": Unit("cfm", CFM_PER_M3_S / 1e3),
    "m3/s": Unit("cfm", CFM_PER_M3_S),
    "m3/min": Unit("cfm", CFM_PER_M3_S / 60.0),
    "m3/h": Unit("cfm", CFM_PER_M3_S / 3600.0),
    "s": Unit("s"),
    "ms": Unit("s", 1e-3),
    "tokens/s": Unit("tokens_per_s"),
    "requests": Unit("requests"),
}
"""By the symbol that a mapping file uses. MW is a megawatt, mW a milliwatt."""

FAN_UNITS = ("rpm", "fan %", "fan frac")
"""Speeds of fans: airflow only through a factor that belongs to the hardware."""


def column_of(path: str) -> Column:
    """Return the column named ``table.column``.

    Raises
    ------
    KeyError
        If the schema has no such column.
    """
    table, _, name = path.partition(".")
    return next((column for column in TABLES[table].columns if column.name == name), None) or _missing(path)


def _missing(path: str) -> Column:
    raise KeyError(path)


def unit_fault(column: str, unit: str) -> str:
    """Say what is wrong with a unit for a column such as ``power_w``; empty where nothing is."""
    if unit in FAN_UNITS:
        return "" if column == "airflow_cfm" else f"{unit!r}: is for airflow_cfm only"
    fitting = [symbol for symbol, known in UNITS.items() if column.endswith(f"_{known.ending}")]
    return "" if unit in fitting else f"{unit!r}: is no unit of {column}; use {' or '.join(fitting)}"

"""The schema of history: which tables, which columns, which units, what a sensor may physically say.

Tables are parquet (or CSV) files of one folder. Missing readings are NaN, never zero. A site need not have every
sensor: tables and columns that are not ``required`` may be missing, and then all their readings are.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TABLES", "Column", "Refused", "Table"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name ends in its unit; readings outside ``lowest``..``highest`` are not believed."""

    name: str
    kind: str
    lowest: float = float("-inf")
    highest: float = float("inf")
    required: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One file ``<name>.parquet``; ``key`` columns identify a row."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = True

    @property
    def readings(self) -> tuple[Column, ...]:
        """Columns that hold readings: numbers that are no part of the key."""
        return tuple(column for column in self.columns if column.kind == "float64" and column.name not in self.key)


@dataclass(frozen=True, slots=True)
class Refused:
    """Readings of one sensor (or of one whole column) that are not believed and count as missing.

    Attributes
    ----------
    name
        Whose readings: a server, ``server/gpu``, a row or a room; empty for the whole column.
    readings
        How many.
    reason
        One clause that says why, with numbers.
    """

    table: str
    column: str
    name: str
    readings: int
    reason: str

    def __str__(self) -> str:
        whose = f" of {self.name}" if self.name else ""
        return f"{self.table}.{self.column}{whose}: {self.readings:,} readings refused: {self.reason}"


_T = Column("t_s", "float64", 0.0)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "rooms",
            ("t_s", "room"),
            (_T, Column("room", "str"), Column("outdoor_c", "float64", -60, 60)),
            required=False,
        ),
        Table(
            "servers",
            ("t_s", "server"),
            (
                _T,
                Column("server", "str"),
                Column("inlet_c", "float64", 0, 60, required=False),
                Column("power_w", "float64", 0, 200_000),
                Column("airflow_cfm", "float64", 0, 20_000, required=False),
            ),
        ),
        Table(
            "gpus",
            ("t_s", "server", "gpu"),
            (
                _T,
                Column("server", "str"),
                Column("gpu", "int64", 0, 63),
                Column("load_frac", "float64", 0, 1, required=False),
                Column("power_w", "float64", 0, 2_000),
                Column("temperature_c", "float64", 0, 120),
                Column("memory_temperature_c", "float64", 0, 130, required=False),
            ),
        ),
        Table(
            "rows",
            ("t_s", "row"),
            (_T, Column("row", "str"), Column("meter_power_w", "float64", 0, 5e6)),
            required=False,
        ),
        Table(
            "vms",
            ("t_s", "vm"),
            (
                _T,
                Column("vm", "str"),
                Column("server", "str"),
                Column("template", "str"),
                Column("load_frac", "float64", 0, 1),
                Column("configuration", "str", required=False),
            ),
            required=False,
        ),
    )
}

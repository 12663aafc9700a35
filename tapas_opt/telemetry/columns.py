"""What an operator says about files of their own: which column is which, in which unit, and how time is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT
from tapas_opt.domain.history import TABLES
from tapas_opt.errors import Fault
from tapas_opt.telemetry.mapping_file import read_mapping
from tapas_opt.telemetry.units import FAN_UNITS, unit_fault

__all__ = ["Constant", "FileTable", "Layout", "LongLayout", "TimeColumn", "ValueColumn", "read_layout"]

_Text = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """How a file says when.

    Attributes
    ----------
    kind
        ``iso``: text, or a timestamp in parquet; ``s`` or ``ms``: a number since ``origin``.
    pattern
        Of text that is not ISO 8601, such as ``%d.%m.%Y %H:%M``.
    zone
        Of text that names no offset, such as ``Europe/Berlin`` or ``UTC``; hours that a change of the clock repeats or
        leaves out are dropped.
    origin
        ISO 8601 with an offset; the start of Unix time if not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    column: _Text
    kind: Literal["iso", "s", "ms"] = "iso"
    pattern: _Text | None = None
    zone: _Text | None = None
    origin: _Text | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.zone is not None and not _is_zone(self.zone):
            faults.append(f"zone {self.zone!r}: is no time zone; use one like Europe/Berlin, or UTC")
        if self.origin is not None and _offset_of(self.origin) is None:
            faults.append(f"origin {self.origin!r}: must be like 2024-01-01T00:00:00Z")
        if self.kind == "iso" and self.origin is not None:
            faults.append("origin belongs to kind s or ms")
        if self.kind != "iso" and (self.pattern or self.zone):
            faults.append(f"pattern and zone belong to kind iso, not {self.kind}")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def origin_s(self) -> float:
        """Unix time of the origin."""
        moment = None if self.origin is None else _offset_of(self.origin)
        return 0.0 if moment is None else moment.timestamp()


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _offset_of(text: str) -> datetime | None:
    """The moment that a text names, or None where it names none or no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


@dataclass(frozen=True, slots=True)
class Constant:
    """The same for every row of the files."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    constant: Annotated[str | int, Field()]


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """Where a reading stands, and in which unit. In a long layout ``column`` is the quantity's name."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    column: _Text
    unit: str


@dataclass(frozen=True, slots=True)
class LongLayout:
    """One reading a row: the column that names the quantity, and the column of its value."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    quantity: _Text
    value: _Text


@dataclass(frozen=True, slots=True)
class FileTable:
    """Files that give readings of one table of the schema.

    Attributes
    ----------
    files
        A glob in the folder; ``<table>.csv`` or ``<table>.parquet`` if not given.
    names
        Columns that say whose a reading is, by the schema's name; those left out are called as in the schema.
    columns
        Readings by the schema's name.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    table: Literal["rooms", "servers", "gpus", "rows", "vms"]
    time: TimeColumn
    columns: Annotated[dict[str, ValueColumn], Field(min_length=1)]
    names: dict[str, _Text | Constant] = field(default_factory=dict)
    files: _Text | None = None
    long: LongLayout | None = None

    def name_sources(self) -> Mapping[str, str | Constant]:
        """Where each column that is no reading stands; one that a history may lack counts only if it is named."""
        optional = [column.name for column in TABLES[self.table].columns if not column.required]
        wanted = [name for name in _name_columns(self.table) if name in self.names or name not in optional]
        return {name: self.names.get(name, name) for name in wanted}

    def needed(self) -> list[str]:
        """Columns that a file must have."""
        names = [source for source in self.name_sources().values() if isinstance(source, str)]
        values = [self.long.quantity, self.long.value] if self.long else [v.column for v in self.columns.values()]
        return list(dict.fromkeys([self.time.column, *names, *values]))


def _name_columns(table: str) -> list[str]:
    """Columns of a table that say whose a reading is."""
    return [column.name for column in TABLES[table].columns if column.kind != "float64"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A columns file."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/columns/1"]
    tables: Annotated[tuple[FileTable, ...], Field(min_length=1)]


_READER: TypeAdapter[Layout] = TypeAdapter(Layout)


def read_layout(path: Path) -> Layout:
    """Read a columns file.

    Raises
    ------
    InvalidInput
        Listing every fault.
    """
    return read_mapping(path, _READER, _table_faults)


def _table_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    tables = raw.get("tables")
    for i, item in enumerate(tables if isinstance(tables, list) else []):
        if isinstance(item, Mapping) and item.get("table") in TABLES:
            where = f"tables[{i}]"
            yield from _name_faults(where, str(item["table"]), item.get("names"))
            yield from _reading_faults(where, str(item["table"]), item.get("columns"))
            files = str(item.get("files", ""))
            if files.startswith("/") or ".." in files:
                yield Fault(f"{where}.files", f"{files!r}: must lie in the folder")


def _name_faults(where: str, table: str, names: object) -> Iterator[Fault]:
    known = _name_columns(table)
    for name in names if isinstance(names, Mapping) else ():
        if name not in known:
            yield Fault(f"{where}.names.{name}", f"{table} has no such column; it has {', '.join(known)}")


def _reading_faults(where: str, table: str, columns: object) -> Iterator[Fault]:
    known = [column.name for column in TABLES[table].readings]
    for name, value in columns.items() if isinstance(columns, Mapping) else ():
        unit = value.get("unit") if isinstance(value, Mapping) else None
        if name not in known:
            yield Fault(f"{where}.columns.{name}", f"{table} has no such reading; it has {', '.join(known)}")
        elif unit in FAN_UNITS:
            what = f"{unit!r}: turn speeds of fans into airflow first, by hardware"
            yield Fault(f"{where}.columns.{name}.unit", what)
        elif isinstance(unit, str) and (problem := unit_fault(name, unit)):
            yield Fault(f"{where}.columns.{name}.unit", problem)

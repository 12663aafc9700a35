"""Readings out of Redfish documents: the old Thermal and Power, and ThermalSubsystem, EnvironmentMetrics and Sensors.

Property names as in the DMTF's schemas (DSP8010). A document is judged by its ``@odata.type``; sensors that are absent
or disabled say nothing. Which GPU a processor of the tree is to the driver is not said, so that readings of GPUs are
left to DCGM.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

__all__ = ["Reading", "best", "readings_of"]

_INLET = re.compile(r"inlet|intake", re.IGNORECASE)
_AMBIENT = re.compile(r"ambient", re.IGNORECASE)
_OF_CHASSIS = re.compile(r"/Chassis/[^/]+/EnvironmentMetrics/?$")
_SILENT = ("Absent", "Disabled", "UnavailableOffline", "InTest", "Starting", "Deferring")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One number out of a document.

    Attributes
    ----------
    column
        ``servers.inlet_c``, ``servers.power_w``, ``servers.airflow_cfm`` or ``rows.meter_power_w``.
    unit
        As in :mod:`tapas_opt.telemetry.units`; a speed of fans is not airflow yet.
    rank
        Of several readings of one column those of the lowest rank count.
    """

    column: str
    value: float
    unit: str
    rank: int = 0


def readings_of(document: Document) -> list[Reading]:
    """Everything in one document that the schema has a place for; nothing where its type is not known."""
    kind = str(document.get("@odata.type", "")).lstrip("#").partition(".")[0]
    read = _READERS.get(kind)
    return [] if read is None else [reading for reading in read(document) if isfinite(reading.value)]


def best(readings: list[Reading], column: str, unit: str | None = None) -> float | None:
    """One number from the readings of a machine: the mean of the best rank, for power the largest.

    Parts of a machine report power of their own; that of the whole is the largest.
    """
    mine = [r for r in readings if r.column == column and unit in (None, r.unit)]
    if not mine:
        return None
    rank = min(r.rank for r in mine)
    values = [r.value for r in mine if r.rank == rank]
    return max(values) if column == "servers.power_w" else sum(values) / len(values)


def _thermal(document: Document) -> Iterator[Reading]:
    for sensor in _members(document, "Temperatures"):
        yield from _temperature(sensor, "ReadingCelsius", str(sensor.get("Name", "")))
    for fan in _members(document, "Fans"):
        unit = {"RPM": "rpm", "Percent": "fan %"}.get(str(fan.get("ReadingUnits", "RPM")))
        if unit is not None:
            yield from _number(fan, "Reading", "servers.airflow_cfm", unit, rank=1)


def _power(document: Document) -> Iterator[Reading]:
    for control in _members(document, "PowerControl"):
        yield from _number(control, "PowerConsumedWatts", "servers.power_w", "W")


def _environment(document: Document) -> Iterator[Reading]:
    """Of a chassis; those of processors and memory are not of the whole server."""
    if not _OF_CHASSIS.search(str(document.get("@odata.id", ""))):
        return
    yield from _number(_part(document, "PowerWatts"), "Reading", "servers.power_w", "W")
    for fan in _members(document, "FanSpeedsPercent"):
        yield from _fan(fan)


def _thermal_metrics(document: Document) -> Iterator[Reading]:
    summary = _part(document, "TemperatureSummaryCelsius")
    yield from _number(_part(summary, "Intake"), "Reading", "servers.inlet_c", "C")
    yield from _number(_part(summary, "Ambient"), "Reading", "servers.inlet_c", "C", rank=2)
    for sensor in _members(document, "TemperatureReadingsCelsius"):
        uri = sensor.get("DataSourceUri")
        where = uri if isinstance(uri, str) else str(_part(sensor, "DataSourceUri").get("@odata.id", ""))
        yield from _temperature(sensor, "Reading", str(sensor.get("DeviceName") or where.rpartition("/")[2]))
    air = _part(document, "AirFlowCubicMetersPerMinute")
    yield from _number(air, "Reading", "servers.airflow_cfm", "m3/min")


def _sensor(document: Document) -> Iterator[Reading]:
    kind, unit = document.get("ReadingType"), document.get("ReadingUnits")
    name = str(document.get("Name") or document.get("Id") or "")
    if kind == "Temperature" or unit == "Cel":
        yield from _temperature(document, "Reading", name)
    elif kind == "Rotational" or unit == "RPM":
        yield from _number(document, "Reading", "servers.airflow_cfm", "rpm", rank=1)
    elif kind == "AirFlow" and unit == "[ft_i]3/min":
        yield from _number(document, "Reading", "servers.airflow_cfm", "cfm")


def _fan(document: Document) -> Iterator[Reading]:
    speed = document if "Reading" in document else _part(document, "SpeedPercent")
    if _is_silent(document):
        return
    yield from _number(speed, "Reading", "servers.airflow_cfm", "fan %", rank=1)
    yield from _number(speed, "SpeedRPM", "servers.airflow_cfm", "rpm", rank=1)


def _distribution(document: Document) -> Iterator[Reading]:
    yield from _number(_part(document, "PowerWatts"), "Reading", "rows.meter_power_w", "W")


_READERS: Mapping[str, Callable[[Document], Iterator[Reading]]] = {
    "Thermal": _thermal,
    "Power": _power,
    "EnvironmentMetrics": _environment,
    "ThermalMetrics": _thermal_metrics,
    "Sensor": _sensor,
    "Fan": _fan,
    "PowerDistributionMetrics": _distribution,
}


def _temperature(sensor: Document, field: str, name: str) -> Iterator[Reading]:
    """What is drawn in: where the sensor says that it sits there, else by its name."""
    context = str(sensor.get("PhysicalContext", ""))
    if context == "Intake" or _INLET.search(name):
        yield from _number(sensor, field, "servers.inlet_c", "C", rank=0 if context == "Intake" else 1)
    elif _AMBIENT.search(name):
        yield from _number(sensor, field, "servers.inlet_c", "C", rank=2)


def _number(source: Document, field: str, column: str, unit: str, rank: int = 0) -> Iterator[Reading]:
    """Yield a number that is there and whose sensor is at work; old firmware writes numbers as text."""
    value = source.get(field)
    if value is None or isinstance(value, bool) or _is_silent(source):
        return
    try:
        yield Reading(column, float(value), unit, rank)
    except (TypeError, ValueError):
        return


def _is_silent(source: Document) -> bool:
    return _part(source, "Status").get("State") in _SILENT


def _part(document: Document, name: str) -> Document:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _members(document: Document, name: str) -> Iterator[Document]:
    members = document.get(name)
    return (item for item in (members if isinstance(members, list) else []) if isinstance(item, Mapping))

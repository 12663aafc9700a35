"""Telemetry as it comes in: what no sensor can say, and what is of nothing known, is refused in words."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tapas_opt.api.v1 import telemetry_service_pb2
from tapas_opt.control.telemetry import PER_GPU, QUANTITIES, Readings
from tapas_opt.domain.history import TABLES, Column
from tapas_opt.domain.topology import Topology

__all__ = ["believed"]

LONGEST_SHOWN = 80
"""Characters of a wrong name that are repeated to its sender."""

BEYOND_NAMEPLATE = 1.5
"""A server that draws more than so many times its nameplate has a broken meter; believed, it would close its row."""


def _column(table: str, name: str) -> Column:
    return next(column for column in TABLES[table].columns if column.name == name)


_RANGES = {
    "outdoor_c": _column("rooms", "outdoor_c"),
    "server_power_w": _column("servers", "power_w"),
    "inlet_c": _column("servers", "inlet_c"),
    "airflow_cfm": _column("servers", "airflow_cfm"),
    "hottest_gpu_c": _column("gpus", "temperature_c"),
    "row_power_w": _column("rows", "meter_power_w"),
    "pdu_power_w": Column("power_w", "float64", 0, 5e6),
    "ups_power_w": Column("power_w", "float64", 0, 5e7),
    "endpoint_tokens_per_s": Column("tokens_per_s", "float64", 0, 1e12),
    "gpu_power_w": _column("gpus", "power_w"),
    "gpu_temperature_c": _column("gpus", "temperature_c"),
    "gpu_memory_temperature_c": _column("gpus", "memory_temperature_c"),
    "gpu_load_frac": _column("gpus", "load_frac"),
}
"""What a sensor may physically say."""

_OF_GPU = tuple(
    (quantity.removeprefix("gpu_"), quantity, _RANGES[quantity].lowest, _RANGES[quantity].highest)
    for quantity in PER_GPU
)
"""Field of a GPU's message, its quantity, and the range of that."""


_GROUPS = (
    ("rooms", "room", (("outdoor_c", "outdoor_c"),)),
    (
        "servers",
        "server",
        (
            ("power_w", "server_power_w"),
            ("inlet_c", "inlet_c"),
            ("airflow_cfm", "airflow_cfm"),
            ("hottest_gpu_c", "hottest_gpu_c"),
        ),
    ),
    ("rows", "row", (("meter_power_w", "row_power_w"),)),
    ("pdus", "pdu", (("power_w", "pdu_power_w"),)),
    ("upses", "ups", (("power_w", "ups_power_w"),)),
    ("endpoints", "endpoint", (("tokens_per_s", "endpoint_tokens_per_s"),)),
)
"""Messages of a request: where they are, which field names the thing, and its fields with their quantities."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Of one server: the most that its meter may show, and how many GPUs it has."""

    power_w: float
    gpus: int


def believed(
    request: telemetry_service_pb2.PushTelemetryRequest, topology: Topology, endpoints: Mapping[str, object]
) -> tuple[Readings, int, list[str]]:
    """Readings that may be believed, how many they are, and in words those refused."""
    limits = _limits(topology) if request.servers else {}
    known: dict[str, Container[str]] = {
        "room": topology.rooms,
        "server": limits,
        "row": topology.rows,
        "PDU": topology.pdus,
        "UPS": topology.upses,
        "endpoint": endpoints,
    }
    taken: dict[str, dict[str, float]] = {quantity: {} for quantity in QUANTITIES}
    refused = []
    for quantity, name, value in _values(request):
        kind, lowest, highest = QUANTITIES[quantity], _RANGES[quantity].lowest, _RANGES[quantity].highest
        if name not in known[kind]:
            refused.append(_unknown(kind, name))
            continue
        if quantity == "server_power_w":
            highest = limits[name].power_w
        if lowest <= value <= highest:
            taken[quantity][name] = value
        else:
            refused.append(f"{kind} {name}: {_not_between(quantity, value, lowest, highest)}")
    gpus = _Gpus(refused)
    for server in request.servers:
        if server.gpus and server.server in limits:
            gpus.judge(server.server, server.gpus, limits[server.server].gpus)
        elif server.gpus:
            refused.append(_unknown("server", server.server))
    accepted = sum(len(values) for values in taken.values()) + gpus.count
    everything: dict[str, Any] = {**taken, **gpus.taken}
    return Readings(request.observed_at_s, **everything), accepted, refused


def _limits(topology: Topology) -> dict[str, _Limits]:
    hardware = (topology.site.hardware[name] for name in topology.hardware)
    of = [_Limits(BEYOND_NAMEPLATE * item.max_power_w, item.gpus) for item in hardware]
    return {name: of[kind] for name, kind in zip(topology.servers, topology.server_hardware.tolist(), strict=True)}


def _unknown(kind: str, name: str) -> str:
    return f"{kind} {name[:LONGEST_SHOWN]!r} does not exist"


def _not_between(quantity: str, value: float, lowest: float, highest: float) -> str:
    return f"{quantity} {value:g} is not between {lowest:g} and {highest:g}"


def _values(request: telemetry_service_pb2.PushTelemetryRequest) -> Iterator[tuple[str, str, float]]:
    """Quantity, name and value of what was measured with one number; what is not set was not measured."""
    for group, key, fields in _GROUPS:
        for message in getattr(request, group):
            for field, quantity in fields:
                if message.HasField(field):
                    yield quantity, getattr(message, key), getattr(message, field)


class _Gpus:
    """Readings by GPU as they are judged: a site has thousands, so there is nothing here that is not needed."""

    def __init__(self, refused: list[str]) -> None:
        self.taken: dict[str, dict[str, list[float]]] = {quantity: {} for quantity in PER_GPU}
        self.count = 0
        self._refused = refused

    def judge(self, name: str, messages: Iterable[telemetry_service_pb2.GpuReading], gpus: int) -> None:
        """Take what may be believed of the GPUs of one server, which has so many."""
        for message in messages:
            number = message.gpu
            if not (message.HasField("gpu") and 0 <= number < gpus):
                self._refused.append(f"server {name}: gpu {number} is not one of 0 to {gpus - 1}")
                continue
            for field, quantity, lowest, highest in _OF_GPU:
                if message.HasField(field):
                    value = getattr(message, field)
                    if lowest <= value <= highest:
                        self.taken[quantity].setdefault(name, [math.nan] * gpus)[number] = value
                        self.count += 1
                    else:
                        why = _not_between(f"gpu {number} {field}", value, lowest, highest)
                        self._refused.append(f"server {name}: {why}")
